/* The page of skelemo view. */
import {address, ask, clipOf} from "skelemo/data.js";
import {Sequences} from "skelemo/sequences.js";
import {Corrections} from "skelemo/corrections.js";
import {Queue} from "skelemo/queue.js";
import {planes} from "skelemo/plane.js";

const {make, Player} = globalThis.skelemo, POLL = 2000;
const at = id => document.getElementById(id);
let about, table, queue, player, corrections, sequence = null, move = () => {}, prepared = false, behind = true, film = null, asked = 0;

function tell(news) {
  const wrong = news instanceof Error;
  at("state").textContent = wrong ? news.message : news;
  at("state").className = wrong ? "quiet wrong" : "quiet";
}

/* Draw again when frames arrive. */
function arrived(error) {
  if (error instanceof Error) tell(error);
  if (!player.playing || !player.clip.frame(player.at)) player.draw();
}

/* The video behind the skeleton, synchronized with the player. */
function follow(clip) {
  film?.remove();
  film = null;
  if (!sequence.film) return;
  film = make(document.body, "video", "", "", {preload: "auto", muted: "", playsinline: ""});
  film.hidden = film.muted = true;
  film.addEventListener("seeked", () => player.draw());
  film.addEventListener("loadeddata", () => player.draw());
  film.src = address(`film/${sequence.row}`);
  const shown = film, rate = sequence.fps || 25;
  clip.picture = () => shown.readyState >= 2 && behind ? shown : null;
  clip.follow = ({at: frame, playing, speed}) => {
    const wanted = (clip.number(frame) + .5) / rate, apart = Math.abs(shown.currentTime - wanted);
    shown.playbackRate = Math.max(.0625, Math.min(16, speed));
    if (playing && shown.paused) shown.play().catch(() => {});
    if (!playing && !shown.paused) shown.pause();
    if (apart > (playing ? .15 : .4 / rate)) shown.currentTime = wanted;
  };
}

/* Open a sequence; for a suspect, select its frames and fill in the correction. */
async function open(row, suspect = null) {
  const mine = ++asked;
  try {
    const found = await ask(`sequence/${row}`);
    if (mine !== asked) return;
    sequence = found;
  } catch (error) { return tell(error); }
  history.replaceState(null, "", suspect ? `#suspect${suspect.rank}` : `#${row}`);
  table.show(row);
  at("title").textContent = sequence.id;
  document.title = `${sequence.id} · skelemo view`;
  show(0);
  if (suspect) {
    const place = number => { const found = player.clip.numbers.findIndex(one => one >= number); return found < 0 ? player.clip.length - 1 : found; };
    const first = place(suspect.first);
    player.seek(first);
    player.select([first, Math.max(first, place(suspect.last))]);
  }
  corrections.begin();
  if (suspect) corrections.fill(suspect);
  tell("");
}

/* Show the open sequence and its tracks in the player. */
function show(frame) {
  const clip = clipOf(sequence, about.parts, prepared, arrived), marked = player.clip?.title === clip.title ? player.selection : null;
  move = planes(at("planes"), clip.tracks);
  facts();
  if (!prepared) follow(clip);
  player.open(clip, frame);
  if (marked) player.select(marked);
  corrections.show(sequence);
}

function facts() {
  const box = at("shown"), list = [["video", sequence.video], ["person", sequence.person], ["subject", sequence.subject],
    ["frames", sequence.length.toLocaleString("en")], ["rate", sequence.fps ? `${+sequence.fps.toFixed(2)} frames/s` : ""],
    ["image", sequence.width > 1 ? `${sequence.width} × ${sequence.height}` : ""],
    ["other people", sequence.others.length || ""], ["unreadable files", sequence.unread || ""], ...Object.entries(sequence.splits)];
  box.replaceChildren();
  const grid = make(box, "dl");
  for (const [name, value] of list) if (value !== "" && value != null) { make(grid, "dt", "", name); make(grid, "dd", "", value); }
  const check = (id, text, on, act) => {
    const label = make(box, "label", "check"), input = make(label, "input", "", "", {type: "checkbox", id});
    input.checked = on;
    label.append(text);
    input.addEventListener("change", () => act(input.checked));
    box.append(" ");
  };
  check("prepared", "as a model sees it", prepared, on => { prepared = on; show(player.at); });
  if (sequence.others.length) check("others", "other people", player.pale, on => { player.pale = on; player.zoom(player.view); });
  if (sequence.film) check("behind", "video", behind, on => { behind = on; player.draw(); });
}

/* Reload labels and corrections. */
async function reload() {
  const row = sequence.row, mine = asked, found = await ask(`sequence/${row}`);
  if (mine !== asked || row !== sequence.row) return;
  sequence = found;
  player.clip.tracks = sequence.tracks.map(skelemo.decodeTrack);
  player.tracks();
  move = planes(at("planes"), player.clip.tracks);
  player.draw();
  corrections.show(sequence);
  queue.mark(sequence);
}

/* Check for changes by other tabs and programs. */
async function poll() {
  if (document.visibilityState === "visible" && sequence && !corrections.busy)
    try {
      const row = sequence.row, found = await ask(`corrections/${row}`);
      if (row === sequence.row && found.version !== corrections.version && !corrections.busy) await reload();
    } catch (error) { tell(error); }
  setTimeout(poll, POLL);
}

function listed() { return queue.shown ? queue : table; }

function keys(event) {
  if (event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {n: () => listed().move(1), p: () => listed().move(-1), i: () => corrections.end(0), o: () => corrections.end(1), u: () => corrections.undo()}[event.key];
  if (act) { event.preventDefault(); act(); }
  else if (!player.root.contains(event.target)) player.key(event);
}

async function begin() {
  about = await ask("cache");
  at("name").textContent = about.name;
  const runs = about.runs.length ? ` · ${about.runs.join(", ")}` : "", simulated = about.simulated ? " · simulated" : "";
  at("about").textContent = `${about.frames.toLocaleString("en")} frames${runs}${simulated}`;
  player = new Player(at("player"), null, {missing: true});
  player.root.addEventListener("frame", event => move(event.detail));
  corrections = new Corrections(at("corrections"), about.heads, player, reload, tell);
  table = new Sequences(about, open, tell);
  document.addEventListener("keydown", keys);
  queue = new Queue(await ask("queue"), open);
  const first = await table.ask(), row = /^#[0-9]+$/.test(location.hash) ? +location.hash.slice(1) : first?.row;
  const rank = location.hash.match(/^#suspect([0-9]+)$/)?.[1], place = queue.items.findIndex(one => String(one.rank) === rank);
  if (queue.place >= 0) return poll();  // the user has already chosen a suspect
  if (queue.shown && (place >= 0 || !location.hash)) await queue.choose(Math.max(place, 0));
  else if (row !== undefined) await open(row);
  poll();
}
begin().catch(tell);
