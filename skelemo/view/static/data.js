/* Requests to the server, and the frames of a sequence, loaded in chunks. */
const token = new URLSearchParams(location.search).get("token");
const CHUNK = 256, KEPT = 24, MOST_OTHERS = 12;

export function address(path, given = {}) {
  return `/api/${path}?${new URLSearchParams({...given, token})}`;
}

/* Request JSON; throws the server's error message. */
export async function ask(path, given = {}, body = null) {
  const options = body ? {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)} : {};
  const answer = await fetch(address(path, given), options).catch(() => { throw new Error("skelemo view is not running"); });
  const text = await answer.text();
  let content = null;
  try { content = JSON.parse(text); } catch { /* rejections are plain text */ }
  if (!answer.ok) throw new Error(content?.error || text || answer.statusText);
  return content;
}

/* Drop the oldest loaded entries of a map, until at most `kept` are left; null is still loading. */
export function prune(map, kept) {
  for (const [key, value] of map) if (map.size > kept && value) map.delete(key);
}

/* Frames of a sequence, raw or prepared, or of another person in it. frame(i) is null while loading. */
export class FrameLoader {
  constructor(row, length, points, given, arrived, change = null) {
    Object.assign(this, {row, length, size: 3 * points, given, arrived, change, known: new Map()});
  }

  frame(i) {
    const index = Math.floor(i / CHUNK), chunk = this.load(index);
    if (i % CHUNK > CHUNK / 2 && (index + 1) * CHUNK < this.length) this.load(index + 1);
    return chunk ? chunk.subarray((i - index * CHUNK) * this.size, (i + 1 - index * CHUNK) * this.size) : null;
  }

  load(index) {
    if (this.known.has(index)) return this.known.get(index);
    this.known.set(index, null);
    prune(this.known, KEPT);
    fetch(address(`frames/${this.row}`, {...this.given, first: index * CHUNK, count: CHUNK})).then(async answer => {
      if (!answer.ok) throw new Error((await answer.json()).error);
      const points = new Float32Array(await answer.arrayBuffer());
      this.change?.(points);
      this.known.set(index, points);
      this.arrived();
    }).catch(error => { this.known.delete(index); this.arrived(error); });
    return null;
  }
}

/* Conversion of relative coordinates, in which 1 is the last pixel, to pixels, if the image size is known. */
function toPixels({scale, width, height}) {
  if (scale === "pixels" || !(width > 1 && height > 1)) return null;
  const [by, on] = scale === "unit" ? [1, 0] : [.5, 1];
  return points => {
    for (let i = 0; i < points.length; i += 3)
      if (points[i + 2] > 0) { points[i] = (points[i] + on) * by * (width - 1); points[i + 1] = (points[i + 1] + on) * by * (height - 1); }
  };
}

/* Prepared parts have separate origins and are drawn side by side. */
function sideBySide(parts) {
  const total = parts.reduce((sum, part) => sum + part.points, 0);
  return points => parts.forEach((part, k) => {
    for (let i = 0; i < points.length; i += 3 * total)
      for (let j = i + 3 * part.start; j < i + 3 * (part.start + part.points); j += 3) if (points[j + 2] > 0) points[j] += 4.5 * k;
  });
}

/* A clip for the player. */
export function clipOf(sequence, parts, prepared, arrived) {
  const points = parts.reduce((sum, part) => sum + part.points, 0), {row, length} = sequence;
  const numbers = skelemo.decodeNumbers(sequence.numbers), change = prepared ? sideBySide(parts) : toPixels(sequence);
  const own = new FrameLoader(row, length, points, {as: prepared ? "prepared" : "raw"}, arrived, change);
  const near = sequence.others.filter(one => one.first <= numbers[length - 1] && one.last >= numbers[0]).slice(0, MOST_OTHERS)
    .map(one => [one, new FrameLoader(row, length, points, {as: "beside", other: one.row}, arrived, change)]);
  const sized = !prepared && (sequence.scale === "pixels" || change);
  return {title: sequence.id, length, fps: sequence.fps, parts, tracks: sequence.tracks.map(skelemo.decodeTrack),
    size: sized ? [sequence.width, sequence.height] : [0, 0], number: i => numbers[i], numbers, frame: i => own.frame(i),
    others: i => prepared ? [] : near.filter(([one]) => numbers[i] >= one.first && numbers[i] <= one.last)
      .map(([, other]) => other.frame(i)).filter(Boolean)};
}
