/* A player of one clip: stage, buttons, slider, tracks. Needs skeleton.js and tracks.js.

A clip: {title, length, fps, size: [width, height] or [0, 0], parts, frame(i) -> points or null while loading,
others(i) -> list of points, number(i), tracks, picture(i) -> image or null}. */
"use strict";
(() => {
  const skelemo = globalThis.skelemo ||= {}, SPEEDS = [.1, .25, .5, 1, 2, 4];
  const VIEWS = {image: "whole image", person: "person", face: "face"};

  class Player {
    constructor(root, clip = null, {missing = false, others = true, views = Object.keys(VIEWS)} = {}) {
      Object.assign(this, {root, at: 0, speed: 1, playing: false, view: "image", box: null, selection: null, pale: others});
      root.classList.add("skelemo-player");
      root.tabIndex = 0;
      root.setAttribute("role", "group");
      const {make} = skelemo;
      this.stage = make(make(root, "div", "stage"), "canvas", "", "", {role: "img"});
      this.note = make(root.firstChild, "p", "note");
      const bar = make(root, "div", "bar");
      const button = (text, label, act) => {
        const one = make(bar, "button", "", text, {type: "button", "aria-label": label, title: label});
        one.addEventListener("click", act);
        return one;
      };
      this.toggleButton = button("▶", "play", () => this.toggle());
      button("‹", "previous frame", () => this.step(-1));
      button("›", "next frame", () => this.step(1));
      this.slider = make(bar, "input", "", "", {type: "range", min: 0, step: 1, "aria-label": "frame"});
      this.slider.addEventListener("input", () => this.seek(+this.slider.value));
      this.where = make(bar, "output", "where", "", {"aria-live": "polite"});
      const choose = (label, entries, now, act) => {
        const select = make(bar, "select", "", "", {"aria-label": label, title: label});
        for (const [value, text] of entries) make(select, "option", "", text, {value});
        select.value = now;
        select.addEventListener("change", () => act(select.value));
        return select;
      };
      choose("speed", SPEEDS.map(one => [one, `× ${one}`]), 1, value => { this.speed = +value; this.clock = null; });
      this.chooser = choose("zoom", views.map(one => [one, VIEWS[one]]), "image", value => this.zoom(value));
      this.lines = make(root, "div", "tracks");
      this.absent = missing ? make(root, "p", "absent") : null;
      root.addEventListener("keydown", event => this.key(event));
      new ResizeObserver(() => { this.tracks(); this.draw(); }).observe(root);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.tracks());
      if (clip) this.open(clip, clip.at || 0);
    }

    /* Open a clip at a frame. */
    open(clip, at = 0) {
      this.pause();
      Object.assign(this, {clip, box: null, selection: null, extent: null});
      this.slider.max = clip.length - 1;
      this.root.classList.toggle("still", clip.length === 1);
      this.root.setAttribute("aria-label", clip.title || "skeleton");
      for (const option of this.chooser.options)
        option.disabled = option.value === "face" && !clip.parts.some(part => part.kind === "face");
      if (this.chooser.selectedOptions[0]?.disabled) this.zoom(this.chooser.value = "image");
      this.tracks();
      this.seek(at);
    }

    /* Draw the tracks, the cursor and the selection. */
    tracks() {
      if (!this.clip) return;
      const {make} = skelemo, list = this.clip.tracks || [];
      if (this.shown !== list) {
        this.lines.replaceChildren();
        this.rows = list.map(track => {
          const row = make(this.lines, "div", "track"), head = make(row, "div", "head");
          make(head, "span", "name", track.name);
          const words = make(head, "span", "words"), canvas = make(row, "canvas", "", "", {"aria-hidden": "true"});
          canvas.style.height = `${skelemo.trackHeight(track)}px`;
          return {track, words, canvas};
        });
        this.marked = make(this.lines, "div", "marked");
        this.cursor = make(this.lines, "div", "cursor");
        if (!list.length) { this.marked.hidden = this.cursor.hidden = true; }
        this.shown = list;
      }
      for (const {track, canvas} of this.rows) skelemo.drawTrack(canvas, track, this.clip.length);
      this.lines.onpointerdown = event => this.scrub(event);
    }

    scrub(event) {
      const {left, width} = this.lines.getBoundingClientRect(), marks = event.shiftKey;
      const frame = one => Math.max(0, Math.min(this.clip.length - 1, Math.floor((one.clientX - left) / width * this.clip.length)));
      const first = frame(event), move = one => {
        this.seek(frame(one));
        if (marks) this.select([Math.min(first, frame(one)), Math.max(first, frame(one))]);
      };
      const end = () => { removeEventListener("pointermove", move); removeEventListener("pointerup", end); };
      addEventListener("pointermove", move);
      addEventListener("pointerup", end);
      move(event);
      event.preventDefault();
      this.root.focus({preventScroll: true});
    }

    /* Select frames [first, last], or null for none. */
    select(selection) {
      this.selection = selection;
      this.mark();
      this.root.dispatchEvent(new CustomEvent("selection", {detail: selection}));
    }

    mark() {
      if (!this.clip || !this.marked) return;
      const percent = frame => `${100 * frame / this.clip.length}%`, [first, last] = this.selection || [0, -1];
      Object.assign(this.marked.style, {left: percent(first), width: percent(last + 1 - first)});
      this.marked.classList.toggle("whole", last + 1 - first === this.clip.length);
      this.cursor.style.left = percent(this.at + .5);
    }

    seek(frame) {
      if (!this.clip) return;
      this.at = Math.max(0, Math.min(this.clip.length - 1, frame));
      this.clock = null;
      this.draw();
    }

    step(by) { this.pause(); this.seek(this.at + by); }
    toggle() { this.playing ? this.pause() : this.play(); }
    zoom(view) { Object.assign(this, {view, box: null, extent: null}); this.draw(); }

    play() {
      if (!this.clip || this.playing) return;
      if (this.at === this.clip.length - 1) this.at = 0;
      this.playing = true;
      this.where.setAttribute("aria-live", "off");  // or a screen reader would read every frame
      this.clock = null;
      this.setToggle("❚❚", "pause");
      const tick = now => {
        if (!this.playing) return;
        this.clock ||= {now, at: this.at};
        const target = Math.floor(this.clock.at + (now - this.clock.now) / 1000 * (this.clip.fps || 25) * this.speed);
        if (target !== this.at) {
          if (!this.clip.frame(Math.min(target, this.clip.length - 1))) this.clock = null;  // wait until it is loaded
          else this.at = Math.min(target, this.clip.length - 1);
          this.draw();
        }
        if (target >= this.clip.length - 1) return this.pause();
        requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    }

    pause() {
      this.playing = false;
      this.where.setAttribute("aria-live", "polite");
      this.setToggle("▶", "play");
    }

    setToggle(text, label) {
      this.toggleButton.textContent = text;
      this.toggleButton.title = label;
      this.toggleButton.setAttribute("aria-label", label);
    }

    /* Space, arrows (with Shift ten frames), Home, End, F for the face. Returns whether the key was handled. */
    key(event) {
      const typing = event.target.closest?.("input:not([type=range]), select, textarea");
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing) return false;
      if (event.key === " " && event.target.closest?.("button, summary, a")) return false;
      const far = event.shiftKey ? 10 : 1, last = this.clip ? this.clip.length - 1 : 0;
      const act = {" ": () => this.toggle(), ArrowLeft: () => this.step(-far), ArrowRight: () => this.step(far),
        Home: () => this.seek(0), End: () => this.seek(last),
        f: () => { const on = this.view !== "face" && !this.chooser.querySelector("[value=face]")?.disabled;
          this.zoom(this.chooser.value = on ? "face" : "image"); }}[event.key];
      if (!act) return false;
      event.preventDefault();
      act();
      return true;
    }

    /* The visible area: the image (of unknown size: everyone shown so far), the person so far, or the current face. */
    frameBox(points, others) {
      const {clip} = this, [width, height] = clip.size;
      const part = this.view === "face" && clip.parts.find(one => one.kind === "face");
      const face = part && skelemo.bounds(points, part.start, part.start + part.points);
      if (face) {
        const side = Math.max(face[2] - face[0], face[3] - face[1]) * .75, x = (face[0] + face[2]) / 2, y = (face[1] + face[3]) / 2;
        const wanted = [x - side, y - side, x + side, y + side];
        return this.box = this.box && this.playing ? this.box.map((old, i) => old + .25 * (wanted[i] - old)) : wanted;
      }
      if (this.view === "image" && width > 1 && height > 1) return this.box = [0, 0, width, height];
      if (this.view === "face" && this.box) return this.box;
      const shown = this.view === "image" ? [points, ...others] : [points];
      this.extent = shown.map(one => skelemo.bounds(one)).reduce(skelemo.union, this.extent);
      return this.box = this.extent;
    }

    draw() {
      if (!this.clip) return;
      const {clip, at} = this, points = clip.frame(at), {fresh, fit, draw} = skelemo;
      clip.follow?.(this);
      this.slider.value = at;
      const number = clip.number ? clip.number(at) : at, seconds = clip.fps ? `  ${(number / clip.fps).toFixed(2)} s` : "";
      this.where.textContent = `frame ${number.toLocaleString("en")}${seconds}`;
      this.slider.setAttribute("aria-valuetext", this.where.textContent);
      this.mark();
      for (const {track, words} of this.rows || []) words.textContent = skelemo.wordsAt(track, at);
      if (!points) { this.root.classList.add("loading"); return; }
      this.root.classList.remove("loading");
      const [pen, width, height] = fresh(this.stage), others = this.pale ? clip.others?.(at) || [] : [];
      const box = this.frameBox(points, others), seen = skelemo.bounds(points);
      this.note.textContent = seen ? "" : "no person visible in this frame";
      if (box) {
        const whole = this.view === "image" && clip.size[0] > 1, place = fit(box, width, height, whole ? .01 : .1);
        const picture = clip.picture?.(at);
        if (clip.size[0] > 1) {
          const corner = [place.x(0), place.y(0), clip.size[0] * place.zoom, clip.size[1] * place.zoom];
          if (picture) pen.drawImage(picture, ...corner);
          [pen.strokeStyle, pen.lineWidth] = ["#2a3540", 1];
          pen.strokeRect(...corner);
        }
        for (const one of others) draw(pen, one, clip.parts, place, {color: () => "#8d99a6", opacity: .5, dots: false});
        draw(pen, points, clip.parts, place);
      }
      this.list(points);
      this.stage.setAttribute("aria-label", `${clip.title || "skeleton"}, ${this.where.textContent}`);
      this.root.dispatchEvent(new CustomEvent("frame", {detail: at}));
    }

    list(points) {
      if (!this.absent) return;
      const texts = this.clip.parts.flatMap(part => {
        const names = part.names.filter((_, i) => !(points[3 * (part.start + i) + 2] > 0));
        if (!names.length) return [];
        return [`${part.name} ${names.length} of ${part.points}${names.length <= 12 ? `: ${names.join(", ")}` : ""}`];
      });
      this.absent.textContent = texts.length ? `Missing: ${texts.join("; ")}` : "No missing points.";
    }
  }

  function bytes(text) { return Uint8Array.from(atob(text), one => one.charCodeAt(0)).buffer; }

  skelemo.decodeNumbers = text => new Int32Array(bytes(text));
  skelemo.decodeTrack = track => ({...track, values: new Float32Array(bytes(track.values)),
    at: track.at && skelemo.decodeNumbers(track.at), shares: track.shares && new Float32Array(bytes(track.shares))});

  /* Decode a clip written by skelemo.player. */
  function decode(data) {
    const unpack = ({xy, confidence, low, step}) => {
      const places = new Uint16Array(bytes(xy)), confidences = new Uint8Array(bytes(confidence));
      const points = new Float32Array(3 * confidences.length);
      for (let i = 0; i < confidences.length; i++) {
        points[3 * i] = low[0] + step[0] * places[2 * i];
        points[3 * i + 1] = low[1] + step[1] * places[2 * i + 1];
        points[3 * i + 2] = confidences[i] / 255;
      }
      return points;
    };
    const size = 3 * data.parts.reduce((sum, part) => sum + part.points, 0);
    const whole = unpack(data.points), others = data.others.map(unpack), numbers = data.numbers && skelemo.decodeNumbers(data.numbers);
    const tracks = data.tracks.map(skelemo.decodeTrack);
    const cut = (points, i) => points.subarray(i * size, (i + 1) * size);
    return {...data, tracks, length: whole.length / size, frame: i => cut(whole, i), number: i => numbers ? numbers[i] : i,
      others: i => others.map(one => cut(one, i))};
  }

  /* Create a player in every element with an inlined clip. */
  skelemo.start = (within = document) => {
    for (const root of within.querySelectorAll("[data-skelemo-clip]")) {
      const script = root.querySelector("script");
      root.removeAttribute("data-skelemo-clip");
      root.player = new Player(root, decode(JSON.parse(script.textContent)), {missing: false});
      script.remove();
    }
  };
  Object.assign(skelemo, {Player, decode});
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => skelemo.start());
})();
