/* The queue of suspects from an audit: each opens with its frames selected and the likely correction filled in. */
import {arrows} from "skelemo/sequences.js";
const {make} = globalThis.skelemo, at = id => document.getElementById(id);

export class Queue {
  constructor(items, open) {
    Object.assign(this, {items, open, place: -1, shown: false});
    if (!items.length) return;
    this.box = at("queue");
    this.lines = items.map((one, place) => {
      const line = make(this.box, "div", "item", "", {role: "option", "aria-selected": "false", id: `suspect-${place}`});
      make(line, "b", "", one.found);
      const where = one.last > one.first ? `frames ${one.first} to ${one.last}` : `frame ${one.first}`;
      const about = make(line, "span", "", `${one.kind} ${one.score.toFixed(2)} · ${one.id}, ${where}`);
      one.done = make(about, "em", "", " · corrected");
      one.done.hidden = !one.corrected;
      line.addEventListener("click", () => this.choose(place));
      return line;
    });
    arrows(this.box, by => this.move(by));
    this.tabs = [[`${items.length} suspect${items.length === 1 ? "" : "s"}`, true], ["all sequences", false]].map(([text, on]) => {
      const tab = make(at("lists"), "button", "", text, {type: "button"});
      tab.addEventListener("click", () => this.show(on));
      return [tab, on];
    });
    const kinds = Map.groupBy(items, one => one.kind), choose = at("kinds").querySelector("select");
    make(choose, "option", "", `all (${items.length})`, {value: ""});
    for (const [kind, its] of kinds) make(choose, "option", "", `${kind} (${its.length})`, {value: kind});
    choose.addEventListener("change", () => this.only(choose.value));
    this.several = kinds.size > 1;
    at("lists").hidden = false;
    this.show(true);
  }

  /* Mark the suspects of a recording that have corrected frames. */
  mark({video, corrections: {rows}}) {
    for (const one of this.items) if (one.video === video) one.done.hidden = !rows.some(row => !row.undone
      && row.person === one.person && row.first <= one.last && (row.last ?? Infinity) >= one.first);
  }

  /* Show the queue or the table of all sequences. */
  show(on) {
    this.shown = on;
    for (const [tab, its] of this.tabs) tab.setAttribute("aria-pressed", its === on);
    this.box.hidden = !on;
    at("kinds").hidden = !on || !this.several;
    for (const id of ["filters", "total", "rows"]) at(id).hidden = on;
  }

  /* List the suspects of one kind, or all. */
  only(kind) {
    this.lines.forEach((line, i) => { line.hidden = Boolean(kind) && this.items[i].kind !== kind; });
    if (!this.lines[this.place] || this.lines[this.place].hidden) this.choose(this.lines.findIndex(line => !line.hidden));
  }

  move(by) {
    const listed = [...this.lines.keys()].filter(i => !this.lines[i].hidden), now = listed.indexOf(this.place);
    return this.choose(listed[Math.max(0, Math.min(listed.length - 1, now + by))]);
  }

  choose(place) {
    this.lines[this.place]?.setAttribute("aria-selected", "false");
    this.place = place;
    this.lines[place].setAttribute("aria-selected", "true");
    this.lines[place].scrollIntoView({block: "nearest"});
    this.box.setAttribute("aria-activedescendant", `suspect-${place}`);
    return this.open(this.items[place].row, this.items[place]);
  }
}
