/* Labels and predictions over time: blocks for classes, curves for values, bars for flags, one canvas each. */
"use strict";
(() => {
  const skelemo = globalThis.skelemo ||= {};
  const PALETTE = ["#f0b43c", "#74bff2", "#b9c2cb", "#ec8560", "#63cba8", "#c9a5e0", "#f1e36a", "#9fb4ff", "#d8b48a", "#8fd6d6"];
  skelemo.classColor = index => PALETTE[index % PALETTE.length];

  /* Index of a frame's entry in a track, or -1. `at` has the frames of the entries, or is null for all frames. */
  function entry(track, frame) {
    const {at, every = 1} = track;
    if (!at) return frame < track.count ? frame : -1;
    let low = 0, high = at.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (at[middle] <= frame) low = middle; else high = middle - 1;
    }
    const near = [low, low + 1].filter(i => i < at.length)
      .sort((a, b) => Math.abs(at[a] - frame) - Math.abs(at[b] - frame))[0];
    return near !== undefined && Math.abs(at[near] - frame) <= Math.max(every, 1) / 2 + .01 ? near : -1;
  }

  /* A track's value at a frame: a class index, numbers, or null. */
  skelemo.valueAt = (track, frame) => {
    const i = entry(track, frame);
    if (i < 0) return null;
    if (track.kind === "classes") return track.values[i] >= 0 ? track.values[i] : null;
    const found = Array.from(track.values.slice(i * track.outputs.length, (i + 1) * track.outputs.length));
    return found.some(value => track.kind === "flags" ? value >= 0 : !Number.isNaN(value)) ? found : null;
  };

  /* The value as text. */
  skelemo.wordsAt = (track, frame) => {
    const found = skelemo.valueAt(track, frame);
    if (found === null) return /: corrected$/.test(track.name) ? "no label" : "–";
    if (track.kind === "classes") {
      const i = entry(track, frame), share = track.shares ? ` ${Math.round(100 * track.shares[i])} %` : "";
      return track.outputs[found] + share;
    }
    if (track.kind === "flags") return track.outputs.filter((_, i) => found[i] >= .5).join(", ") || "none";
    const named = i => track.outputs[i] === track.head ? "" : `${track.outputs[i]} `;
    return found.map((value, i) => `${named(i)}${Number.isNaN(value) ? "–" : skelemo.signed(value, track.low)}`).join("  ");
  };

  function spans(track, length) {
    const half = Math.max(track.every || 1, 1) / 2;
    return i => track.at ? [Math.max(0, track.at[i] + .5 - half), Math.min(length, track.at[i] + .5 + half)] : [i, i + 1];
  }

  function classes(pen, width, height, track, length) {
    const span = spans(track, length), scale = width / length;
    pen.textBaseline = "middle";
    for (let i = 0; i < track.count;) {
      let j = i + 1;
      while (j < track.count && track.values[j] === track.values[i] && span(j)[0] <= span(j - 1)[1] + .01) j++;
      if (track.values[i] >= 0) {
        const from = span(i)[0] * scale, to = span(j - 1)[1] * scale, name = track.outputs[track.values[i]];
        pen.fillStyle = skelemo.classColor(track.values[i]);
        pen.fillRect(from, 1, Math.max(1, to - from - .5), height - 2);
        const text = [name, name.slice(0, 3)].find(one => pen.measureText(one).width + 8 < to - from);
        pen.fillStyle = "#12171d";
        if (text) pen.fillText(text, from + 4, height / 2 + .5);
      }
      i = j;
    }
  }

  function curves(pen, width, height, track, length, css) {
    const span = spans(track, length), size = track.outputs.length, scale = width / length;
    const y = value => 3 + (height - 6) * (1 - (value - track.low) / (track.high - track.low));
    pen.strokeStyle = css("--rule");
    pen.beginPath();
    pen.moveTo(0, y((track.low + track.high) / 2));
    pen.lineTo(width, y((track.low + track.high) / 2));
    pen.stroke();
    track.outputs.slice(0, 4).forEach((_, k) => {
      pen.strokeStyle = css(["--mark", "--accent", "--ink", "--muted"][k]);
      pen.setLineDash([[], [5, 3], [2, 2], [8, 3, 2, 3]][k]);
      pen.lineWidth = 1.6;
      pen.beginPath();
      let last = -2;
      for (let i = 0; i < track.count; i++) {
        const value = track.values[i * size + k];
        if (Number.isNaN(value)) continue;
        const [from, to] = span(i), x = (from + to) / 2 * scale;
        pen[last === i - 1 && span(i - 1)[1] >= from - .01 ? "lineTo" : "moveTo"](x, y(value));
        last = i;
      }
      pen.stroke();
      pen.setLineDash([]);
    });
  }

  function flags(pen, width, height, track, length, css) {
    const span = spans(track, length), size = track.outputs.length, scale = width / length, row = height / size;
    pen.textBaseline = "middle";
    track.outputs.forEach((name, k) => {
      pen.fillStyle = css("--accent");
      for (let i = 0; i < track.count; i++) {
        const value = track.values[i * size + k];
        if (!(value > 0)) continue;
        const [from, to] = span(i);
        pen.globalAlpha = value;
        pen.fillRect(from * scale, k * row + 1, Math.max(.7, (to - from) * scale), row - 2);
      }
      pen.globalAlpha = 1;
      pen.fillStyle = css("--ink");
      pen.fillText(name, 3, (k + .5) * row);
    });
  }

  /* Draw a track of a clip with `length` frames. */
  skelemo.drawTrack = (canvas, track, length) => {
    const [pen, width, height] = skelemo.fresh(canvas), style = getComputedStyle(canvas);
    const css = name => style.getPropertyValue(name).trim() || "#667080";
    pen.font = `11px ${style.fontFamily}`;
    ({classes, values: curves, flags})[track.kind](pen, width, height, track, length, css);
  };
  skelemo.trackHeight = track => track.kind === "classes" ? 22 : track.kind === "values" ? 52 : Math.max(22, 13 * track.outputs.length);
})();
