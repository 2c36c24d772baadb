/* The form that corrects the selected frames. Every change is saved immediately and can be undone. */
import {ask} from "skelemo/data.js";
const {make} = globalThis.skelemo;

export class Corrections {
  constructor(box, heads, player, changed, tell) {
    Object.assign(this, {box, heads, player, changed, tell, sequence: null, waiting: 0, last: Promise.resolve()});
    this.build();
    player.root.addEventListener("selection", () => this.showSelection());
  }

  build() {
    const {box} = this, button = (line, text, act, label = text) => {
      const one = make(line, "button", "", text, {type: "button", title: label, "aria-label": label});
      one.addEventListener("click", act);
      return one;
    };
    const line = () => make(box, "div", "line");
    make(box, "h3", "", "Correct");
    this.selected = make(box, "p", "quiet", "", {"aria-live": "polite"});
    this.selected.style.margin = "0";
    const ends = line();
    this.ends = ends;
    button(ends, "Set start", () => this.end(0), "start the selection at this frame (I)");
    button(ends, "Set end", () => this.end(1), "end the selection at this frame (O)");
    button(ends, "All", () => this.player.select(null), "select all frames");
    this.note = make(line(), "input", "", "", {type: "text", placeholder: "note", "aria-label": "note", maxlength: 500});
    if (this.heads.length) {
      const choose = line();
      this.head = make(choose, "select", "", "", {"aria-label": "head to correct"});
      for (const head of this.heads) make(this.head, "option", "", head.name, {value: head.name});
      this.head.addEventListener("change", () => this.inputs());
      this.values = make(box, "div", "line");
      this.inputs();
      const act = line();
      button(act, "Set", () => this.add({action: "set", head: this.head.value, value: this.value()}), "set the label");
      button(act, "Wrong", () => this.add({action: "wrong", head: this.head.value}), "mark the label as wrong");
      button(act, "Unsure", () => this.add({action: "unsure", head: this.head.value}), "mark the label as unsure");
    }
    this.tracks = make(box, "div", "line");
    this.person = make(this.tracks, "select", "", "", {"aria-label": "other person"});
    button(this.tracks, "Merge", () => this.add({action: "merge", value: this.person.value}), "merge two tracks of one person");
    button(this.tracks, "Swap", () => this.add({action: "swap", value: this.person.value}), "swap the two people in the selection");
    const back = line();
    this.undoButton = button(back, "Undo", () => this.undo(), "undo the last change (U)");
    this.redoButton = button(back, "Redo", () => this.redo(), "redo the last undone change");
    this.list = make(box, "ol", "done", "", {"aria-label": "corrections of this recording"});
  }

  /* Inputs for the chosen head; for classes, set to the label of the current frame. */
  inputs() {
    const head = this.heads.find(one => one.name === this.head.value);
    this.values.replaceChildren();
    if (head.kind === "classes") {
      const select = make(this.values, "select", "", "", {"aria-label": "class"});
      for (const name of head.outputs) make(select, "option", "", name, {value: name});
      const track = this.player.clip?.tracks.filter(one => one.head === head.name && /: (label|corrected)$/.test(one.name)).at(-1);
      const label = track ? globalThis.skelemo.valueAt(track, this.player.at) : null;
      if (label !== null) select.value = track.outputs[label];
      this.value = () => select.value;
      return;
    }
    const made = head.outputs.map(name => {
      const row = make(this.values, "label", "check", `${name} `);
      const range = head.kind === "values" ? {min: head.low, max: head.high, step: "any"} : {min: 0, max: 1, step: 1};
      return make(row, "input", "", "", {type: "number", placeholder: "keep", "aria-label": name, ...range});
    });
    this.value = () => made.map(one => one.value === "" ? "-" : one.value).join(" ");
  }

  /* Reset for another sequence. */
  begin() { if (this.head) this.inputs(); }

  /* Fill in the suggestion of an audit. */
  fill({head, value}) {
    if (this.heads.some(one => one.name === head) && value) {
      this.head.value = head;
      this.inputs();
      const fields = this.values.querySelectorAll("select, input"), words = fields.length > 1 ? value.split(" ") : [value];
      words.forEach((word, i) => { if (fields[i]) fields[i].value = word === "-" ? "" : word; });
    } else if (value && [...this.person.options].some(one => one.value === value)) this.person.value = value;
  }

  show(sequence) {
    this.sequence = sequence;
    this.person.replaceChildren();
    for (const {person} of sequence.others) make(this.person, "option", "", person || "(no name)", {value: person});
    this.tracks.hidden = !sequence.others.length;
    this.showSelection();
    this.showList(sequence.corrections);
  }

  showSelection() {
    if (!this.sequence) return;
    const {clip, selection} = this.player, [first, last] = selection || [0, clip.length - 1];
    const [from, to] = [clip.number(first), clip.number(last)];
    this.ends.hidden = clip.length === 1;
    this.selected.textContent = from === to ? `Frame ${from}` : `${selection ? "Frames" : "All frames,"} ${from} to ${to}`;
  }

  end(which) {
    const {at, clip, selection} = this.player, [first, last] = selection || [0, clip.length - 1];
    this.player.select(which ? [Math.min(first, at), at] : [at, Math.max(last, at)]);
  }

  showList({version, rows}) {
    const {activeElement: focused} = document, id = focused?.dataset.id;  // a disabled button loses the focus
    this.version = version;
    this.rows = rows;
    this.undoButton.disabled = !rows.some(row => !row.undone);
    this.redoButton.disabled = !rows.some(row => row.undone);
    if (focused?.disabled) (focused === this.undoButton ? this.redoButton : this.undoButton).focus();
    this.list.replaceChildren();
    for (const row of [...rows].reverse()) {
      const item = make(this.list, "li", row.undone ? "undone" : "");
      const what = {set: `${row.head} = ${row.value}`, merge: `merge with ${row.value}`, swap: `swap with ${row.value}`}[row.action]
        || `${row.head || "labels"} ${row.action}`;
      make(item, "b", "", what);
      const whose = row.person && row.person !== this.sequence.person ? `${row.person}, ` : "";
      make(item, "small", "", `${whose}${row.first === row.last ? `frame ${row.first}` : `${row.first} to ${row.last ?? "the end"}`} · ${row.author}, ${row.time.replace("T", " ").replace("Z", " UTC")}${row.note ? ` · ${row.note}` : ""}`);
      const change = make(item, "button", "", row.undone ? "redo" : "undo", {type: "button", "aria-label": `${row.undone ? "redo" : "undo"} ${what}`, "data-id": row.id});
      if (row.id === id) change.focus();
      change.addEventListener("click", () => this.send({[row.undone ? "redo" : "undo"]: [row.id]}));
    }
  }

  add(fields) {
    const {clip, selection} = this.player, [first, last] = selection || [0, clip.length - 1];
    return this.send({first: clip.number(first), last: clip.number(last), note: this.note.value.trim(), ...fields})
      .then(done => { if (done) this.note.value = ""; });
  }

  undo() {
    return this.send(() => {
      const last = this.rows.filter(row => !row.undone).at(-1);
      return last && {undo: [last.id]};
    });
  }

  redo() {
    return this.send(() => {
      const last = this.rows.filter(row => row.undone).sort((a, b) => a.undone < b.undone ? -1 : 1).at(-1);
      return last && {redo: [last.id]};
    });
  }

  /* Send changes one after another; a function computes its body once the earlier changes are saved. */
  send(body) {
    const {row} = this.sequence;
    this.waiting++;
    return this.last = this.last.then(() => this.change(row, typeof body === "function" ? body() : body)).finally(() => this.waiting--);
  }

  get busy() { return this.waiting > 0; }

  async change(row, body) {
    if (!body || row !== this.sequence.row) return false;
    try {
      await ask(`corrections/${row}`, {}, body);
      await this.changed();
      this.tell("saved");
      return true;
    } catch (error) { this.tell(error); return false; }
  }
}
