/* Two values as a point in their plane: the label as a ring, each prediction as a dot. */
const {make, svg} = globalThis.skelemo, COLORS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00"];

/* Draw the planes of heads with two values; returns a function that moves the dots to a frame. */
export function planes(box, tracks) {
  box.replaceChildren();
  const heads = Map.groupBy(tracks.filter(one => one.kind === "values" && one.outputs.length === 2), one => one.head);
  const moves = [...heads].map(([name, list]) => {
    make(box, "h3", "", name);
    const r = 100, {low, high, outputs} = list[0], picture = svg(box, "svg", {viewBox: "-150 -124 300 248", role: "img"});
    svg(picture, "rect", {x: -r, y: -r, width: 2 * r, height: 2 * r, rx: 8, class: "rule"});
    if (low === -high) svg(picture, "circle", {r, class: "rule"});
    svg(picture, "path", {d: `M${-r} 0H${r}M0 ${-r}V${r}`, class: "rule"});
    svg(picture, "text", {x: r - 4, y: -6, "text-anchor": "end"}, outputs[0]);
    svg(picture, "text", {x: 6, y: -r + 14}, outputs[1]);
    const key = make(box, "div", "key");
    const dots = list.map((track, i) => {
      const [, kind] = track.name.split(": "), truth = !track.at && i === 0, color = COLORS[(i - 1 + COLORS.length) % COLORS.length];
      const entry = make(key, "span"), sign = make(entry, "i");
      entry.append(kind || track.name);
      if (!truth) { sign.style.background = color; sign.style.borderColor = color; }
      return [track, svg(picture, "circle", truth ? {r: 8, class: "truth"} : {r: 7, class: "guess", fill: color})];
    });
    return frame => {
      for (const [track, dot] of dots) {
        const values = skelemo.valueAt(track, frame), known = values && values.every(value => !Number.isNaN(value));
        dot.setAttribute("visibility", known ? "visible" : "hidden");
        if (!known) continue;
        const [x, y] = values.map(value => 2 * r * ((value - low) / (high - low) - .5));
        dot.setAttribute("cx", x);
        dot.setAttribute("cy", -y);
      }
      picture.setAttribute("aria-label", dots.map(([track]) => `${track.name} ${skelemo.wordsAt(track, frame)}`).join("; "));
    };
  });
  return frame => moves.forEach(move => move(frame));
}
