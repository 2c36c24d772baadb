/* The table of sequences: only visible rows exist as elements, and pages are loaded on scrolling. */
import {ask, prune} from "skelemo/data.js";
const {make} = globalThis.skelemo, HEIGHT = 50, PAGE = 100, KEPT = 40;
const SORTS = {"": "cache order", nobody: "frames with nobody visible", missing: "missing points", raters: "rater disagreement",
  disagreement: "label disagreement", error: "prediction error"};

/* Arrow and page keys in a list move to another line. */
export function arrows(box, move) {
  box.addEventListener("keydown", event => {
    const by = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10}[event.key];
    if (by) { event.preventDefault(); event.stopPropagation(); move(by); }
  });
}

export class Sequences {
  constructor(about, open, tell) {
    Object.assign(this, {about, open, tell, pages: new Map(), total: 0, row: -1, place: -1, query: {}, version: 0});
    this.box = document.getElementById("rows");
    this.room = make(this.box, "div", "room");
    this.form = document.getElementById("filters");
    this.fill();
    this.box.addEventListener("scroll", () => this.draw());
    arrows(this.box, by => this.move(by));
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.form.addEventListener("submit", event => event.preventDefault());
    this.form.addEventListener("input", () => { clearTimeout(this.waiting); this.waiting = setTimeout(() => this.ask(), 150); });
  }

  fill() {
    const {choices} = this.about, plain = {label: choices.label, subset: choices.subset, subject: choices.subject, video: choices.video};
    for (const [name, values] of Object.entries(plain)) {
      const select = this.form.elements[name];
      make(select, "option", "", "any", {value: ""});
      for (const value of values) make(select, "option", "", value, {value});
      select.parentElement.hidden = !values.length;
    }
    make(this.form.elements.problem, "option", "", "any", {value: ""});
    for (const [value, text] of Object.entries(choices.problem)) make(this.form.elements.problem, "option", "", text, {value});
    for (const value of choices.sort) make(this.form.elements.sort, "option", "", SORTS[value] ?? value, {value});
  }

  /* Reload from the top. */
  async ask() {
    this.query = Object.fromEntries([...new FormData(this.form)].filter(([, value]) => value));
    this.pages.clear();
    this.version++;
    this.box.scrollTop = 0;
    this.place = -1;
    await this.page(0);
    return this.pages.get(0)?.[0];
  }

  async page(index) {
    if (this.pages.has(index)) return;
    this.pages.set(index, null);
    prune(this.pages, KEPT);
    const version = this.version;
    try {
      const found = await ask("sequences", {...this.query, first: index * PAGE, count: PAGE});
      if (version !== this.version) return;
      this.pages.set(index, found.rows);
      this.total = found.total;
      document.getElementById("total").textContent =
        `${found.total.toLocaleString("en")} of ${this.about.sequences.toLocaleString("en")} sequences`;
    } catch (error) { if (version === this.version) this.pages.delete(index); this.tell(error); }
    this.draw();
  }

  at(place) { return this.pages.get(Math.floor(place / PAGE))?.[place % PAGE]; }

  /* Open the next or previous sequence. */
  async move(by) {
    const place = Math.max(0, Math.min(this.total - 1, this.place + by));
    await this.page(Math.floor(place / PAGE));
    const one = this.at(place);
    if (!one) return;
    this.choose(place, one);
    const top = place * HEIGHT, {scrollTop, clientHeight} = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + HEIGHT > scrollTop + clientHeight) this.box.scrollTop = top + HEIGHT - clientHeight;
  }

  choose(place, one) {
    this.place = place;
    this.show(one.row);
    this.open(one.row);
  }

  /* Mark a row as open. */
  show(row) { this.row = row; this.draw(); }

  draw() {
    this.room.style.height = `${this.total * HEIGHT}px`;
    const {scrollTop, clientHeight} = this.box, first = Math.max(0, Math.floor(scrollTop / HEIGHT) - 4);
    const last = Math.min(this.total, Math.ceil((scrollTop + clientHeight) / HEIGHT) + 4), wanted = [];
    for (let place = first; place < last; place++) {
      const one = this.at(place);
      if (!one) this.page(Math.floor(place / PAGE));
      if (one?.row === this.row && this.place < 0) this.place = place;
      wanted.push([place, one]);
    }
    while (this.room.children.length > wanted.length) this.room.lastChild.remove();
    wanted.forEach(([place, one], i) => {
      const line = this.room.children[i] || make(this.room, "div", "row", "", {role: "option"});
      line.style.top = `${place * HEIGHT}px`;
      line.id = `row-${place}`;
      line.setAttribute("aria-selected", Boolean(one) && one.row === this.row);
      line.setAttribute("aria-setsize", this.total);
      line.setAttribute("aria-posinset", place + 1);
      line.replaceChildren();
      make(line, "b", "", one ? one.id : "…");
      make(line, "span", "", one ? this.facts(one) : "");
      line.onclick = () => one && this.choose(place, one);
    });
    const active = `row-${this.place}`;
    if (document.getElementById(active)) this.box.setAttribute("aria-activedescendant", active);
    else this.box.removeAttribute("aria-activedescendant");
  }

  facts(one) {
    const percent = value => `${(100 * value).toFixed(0)} %`;
    return [...this.about.labels.map(name => one[name]), `${one.frames.toLocaleString("en")} frame${one.frames === 1 ? "" : "s"}`,
      one.missing > .005 && `${percent(one.missing)} missing`, one.subject && `subject ${one.subject}`,
      one.raters != null && `raters disagree ${percent(one.raters)}`, one.error != null && `error ${one.error.toFixed(2)}`,
      one.disagreement != null && `${percent(one.disagreement)} disagree`].filter(Boolean).join(" · ");
  }
}
