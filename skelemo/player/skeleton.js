/* Draws skeletons on a canvas. Points are flattened x, y, confidence; parts come from skelemo.player.describe. */
"use strict";
(() => {
  const skelemo = globalThis.skelemo ||= {};

  /* Bounding box [left, top, right, bottom] of the visible points in a range, or null. */
  skelemo.bounds = (points, first = 0, last = points.length / 3) => {
    let box = null;
    for (let i = 3 * first; i < 3 * last; i += 3) {
      if (!(points[i + 2] > 0)) continue;
      const x = points[i], y = points[i + 1];
      if (!box) box = [x, y, x, y];
      else {
        if (x < box[0]) box[0] = x; else if (x > box[2]) box[2] = x;
        if (y < box[1]) box[1] = y; else if (y > box[3]) box[3] = y;
      }
    }
    return box;
  };

  /* Union of two boxes, either of which may be null. */
  skelemo.union = (a, b) => a && b
    ? [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])] : a || b;

  /* Scale that fits a box into a canvas, with a margin relative to the box. */
  skelemo.fit = (box, width, height, margin) => {
    const span = [Math.max(1e-3, box[2] - box[0]), Math.max(1e-3, box[3] - box[1])];
    const zoom = Math.min(width / span[0], height / span[1]) / (1 + 2 * margin);
    return {zoom, x: value => width / 2 + (value - (box[0] + box[2]) / 2) * zoom,
      y: value => height / 2 + (value - (box[1] + box[3]) / 2) * zoom};
  };

  /* Clear a canvas at the screen's resolution; returns its context, and its width and height in CSS pixels. */
  skelemo.fresh = canvas => {
    const ratio = globalThis.devicePixelRatio || 1, {width, height} = canvas.getBoundingClientRect();
    const wide = Math.round(width * ratio), high = Math.round(height * ratio);
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return [pen, width, height];
  };

  /* Draw a person. `color(part, point, from)` replaces the part's colors; confidence scales `opacity`. */
  skelemo.draw = (pen, points, parts, place, {color = null, opacity = 1, dots = true} = {}) => {
    const box = skelemo.bounds(points);
    if (!box) return;
    const thick = Math.max(1.2, Math.min(7, place.zoom * Math.sqrt((box[2] - box[0]) * (box[3] - box[1])) / 55));
    const alpha = confidence => opacity * (.3 + .7 * Math.min(1, 1.3 * confidence));
    pen.lineCap = pen.lineJoin = "round";
    for (const part of parts) {
      const wide = Math.max(1, thick * (part.kind === "body" ? 1 : .34)), paint = (point, from) => color ? color(part, point, from) : part.colors[point];
      pen.lineWidth = wide;
      for (const [from, to] of part.limbs) {
        const i = 3 * (part.start + from), j = 3 * (part.start + to), less = Math.min(points[i + 2], points[j + 2]);
        if (!(less > 0)) continue;
        pen.strokeStyle = paint(to, from);
        pen.globalAlpha = alpha(less);
        pen.beginPath();
        pen.moveTo(place.x(points[i]), place.y(points[i + 1]));
        pen.lineTo(place.x(points[j]), place.y(points[j + 1]));
        pen.stroke();
      }
      for (let point = 0; dots && point < part.points; point++) {
        const i = 3 * (part.start + point);
        if (!(points[i + 2] > 0)) continue;
        pen.fillStyle = paint(point);
        pen.globalAlpha = alpha(points[i + 2]);
        pen.beginPath();
        pen.arc(place.x(points[i]), place.y(points[i + 1]), .72 * wide, 0, 7);
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
  };

  function append(parent, one, text, attributes) {
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    one.textContent = text;
    parent.append(one);
    return one;
  }

  /* Append an element, of HTML or SVG. */
  skelemo.make = (parent, tag, name = "", text = "", attributes = {}) =>
    append(parent, document.createElement(tag), text, name ? {class: name, ...attributes} : attributes);
  skelemo.svg = (parent, tag, attributes = {}, text = "") =>
    append(parent, document.createElementNS("http://www.w3.org/2000/svg", tag), text, attributes);

  /* A value with two decimals, and a sign if its range, from `low`, has negative values. */
  skelemo.signed = (value, low) => (value < 0 ? "−" : low < 0 ? "+" : "") + Math.abs(value).toFixed(2);
})();
