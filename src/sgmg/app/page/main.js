// The page: a video, sentences, one button; what comes back goes to the player.

import { Camera, cameraIsPossible } from "./camera.js";
import { Player } from "./player.js";
import * as server from "./server.js";

const get = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");

const player = new Player();
const state = { limits: null, video: null, upload: null, job: null, result: null, painting: null, opacity: null, examples: [], fromExample: "" };

// --- said to the visitor ---------------------------------------------------------------------------------

function problem(text) {
  get("problem").textContent = text;
  get("problem").hidden = !text;
  if (text) get("problem").scrollIntoView({ block: "nearest" });
}

let lastSaid = 0;
/** For screen readers; what is said often (progress) only every few seconds. */
function say(text, often = false) {
  if (often && Date.now() - lastSaid < 8000) return;
  lastSaid = Date.now();
  get("status").textContent = text;
}

// --- 1: the video ----------------------------------------------------------------------------------------

function show(part) {
  for (const id of ["choose", "chosen", "uploading"]) get(id).hidden = id !== part;
}

async function take(file) {
  problem("");
  const { limits } = state;
  if (file.size === 0) return problem(`“${file.name}” is empty; choose another video.`);
  if (file.size > limits.upload) return problem(`“${file.name}” is larger than ${limits.uploadText}, the most that can be uploaded here.`);
  letGo();
  show("uploading");
  get("uploading-bar").value = 0;
  get("uploading-text").textContent = `Uploading “${file.name}”…`;
  say(`Uploading ${file.name}`);
  const upload = server.upload(file, (share) => (get("uploading-bar").value = share));
  state.upload = upload;
  try {
    const ticket = await upload.done;
    get("uploading-text").textContent = `Opening “${file.name}”…`;
    const video = await server.about(ticket).catch((error) => {
      server.forget(ticket);
      throw error;
    });
    if (state.upload === upload) choose(video);
    else server.forget(ticket);
  } catch (error) {
    if (state.upload !== upload) return;
    state.upload = null;
    show("choose");
    problem(error.message);
  }
}

function choose(video) {
  state.video = video;
  state.upload = null;
  show("chosen");
  get("poster").src = video.poster;
  get("video-name").textContent = video.name;
  const seconds = video.frames ? ` · ${(video.frames / video.fps).toFixed(1)} s` : "";
  const frames = video.frames ? `${number(video.frames)} frame${video.frames === 1 ? "" : "s"}${seconds}` : "";
  get("video-facts").textContent = frames;
  get("video-size").textContent = `${video.width} × ${video.height}`;
  clearResult();
  player.poster(video.poster, video.width, video.height);
  for (const button of get("examples").querySelectorAll("button")) button.setAttribute("aria-pressed", button.dataset.path === video.path);
  say(`${video.name} is chosen`);
  ready();
}

function letGo() {
  if (state.upload) state.upload.stop();
  if (state.video && !state.examples.some(({ path }) => path === state.video.path)) server.forget(state.video.path);
  state.video = state.upload = null;
  get("file").value = "";
  for (const button of get("examples").querySelectorAll("button")) button.setAttribute("aria-pressed", "false");
  show("choose");
  ready();
}

function chooseExample(example) {
  letGo();
  problem("");
  choose(example);
  const box = get("sentences");
  if (!box.value.trim() || box.value === state.fromExample) box.value = state.fromExample = example.sentences.join("\n");
  count();
}

async function loadExamples() {
  const list = get("examples");
  list.replaceChildren(...[1, 2, 3].map(() => Object.assign(document.createElement("li"), { className: "waiting" })));
  try {
    state.examples = await server.examples();
  } catch {
    state.examples = [];
  }
  list.replaceChildren(
    ...state.examples.map((example) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.dataset.path = example.path;
      button.setAttribute("aria-pressed", "false");
      button.append(Object.assign(document.createElement("img"), { src: example.poster, alt: `${example.name}: ${example.sentences.join(", ")}` }));
      button.addEventListener("click", () => chooseExample(example));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
  get("examples-box").hidden = !state.examples.length;
  ready();
}

function acceptDrops() {
  const drop = get("drop");
  const over = (event) => {
    event.preventDefault();
    drop.classList.add("over");
  };
  // Anywhere on the page: a near miss must not make the browser leave it.
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, over);
  document.addEventListener("dragleave", (event) => !event.relatedTarget && drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (file && state.job) problem("A video is being worked on; wait for it, or cancel it, and drop the other one again.");
    else if (file) take(file);
  });
}

// --- 2: the sentences ------------------------------------------------------------------------------------

const sentences = () => get("sentences").value.split("\n").map((line) => line.trim()).filter(Boolean);

/** Says the limits before they are hit; true where what is written fits. */
function count() {
  const { limits } = state;
  const lines = sentences();
  const long = lines.find((line) => line.length > limits.letters);
  const hint = get("sentences-hint");
  const fits = lines.length <= limits.sentences && !long;
  if (long) hint.textContent = `“${long.slice(0, 24)}…” has more than ${limits.letters} letters; say it shorter.`;
  else if (lines.length) hint.textContent = `${lines.length} of up to ${limits.sentences} sentences.`;
  else hint.textContent = `One sentence a line, up to ${limits.sentences}; each about one thing.`;
  hint.classList.toggle("over", !fits);
  get("sentences").setAttribute("aria-invalid", !fits);
  ready();
  return fits;
}

// --- 3: go -----------------------------------------------------------------------------------------------

function ready() {
  const busy = state.job !== null;
  get("go").disabled = busy;
  get("cancel").hidden = !busy;
  get("other").hidden = busy;
  get("sentences").readOnly = busy;
  for (const choice of [get("min-score"), ...get("examples").querySelectorAll("button")]) choice.disabled = busy;
}

function clearResult() {
  state.painting?.end({ kind: "cancelled" });
  if (state.result) server.forget(state.result);
  state.result = null;
  get("work").hidden = true;
  get("downloads").hidden = true;
  get("files").replaceChildren();
}

function go(event) {
  event.preventDefault();
  if (state.job) return;
  problem("");
  if (state.upload) return problem("The video is still being uploaded; wait a moment.");
  if (!state.video) return problem("There is no video yet; choose one, or an example.");
  if (!sentences().length) {
    get("sentences").focus();
    return problem("There is no sentence yet; say what to find, such as “the dog”.");
  }
  if (!count()) return problem(get("sentences-hint").textContent);
  clearResult();
  player.poster(state.video.poster, state.video.width, state.video.height);
  player.held = false;
  working("Starting…", "");
  const minScore = Number(get("min-score").value);
  state.job = server.segment({ video: state.video.path, sentences: sentences().join("\n"), minScore }, happened);
  ready();
  get("cancel").focus({ preventScroll: true });
  get("stage").classList.add("used");
  get("stage").scrollIntoView({ behavior: "smooth", block: "start" });
}

function working(title, facts, share = null) {
  get("work").hidden = false;
  get("work-title").textContent = title;
  get("work-facts").textContent = facts;
  if (share === null) get("work-bar").removeAttribute("value");
  else get("work-bar").value = share;
}

function timeLeft(seconds) {
  if (seconds === null) return "";
  if (seconds < 1.5) return " · about a second left";
  if (seconds < 90) return ` · about ${Math.round(seconds)} s left`;
  return ` · about ${Math.round(seconds / 60)} min left`;
}

const PHASES = { segmenting: "Segmenting", writing: "Writing the files", "cutting out": "Cutting the things out" };

const happenings = {
  queue({ place, of }) {
    const others = place === 1 ? "One video is before yours." : `${place} videos are before yours.`;
    working(`Waiting: place ${place} of ${of} in the queue`, others);
    say(`Place ${place} in the queue`);
  },
  started(event) {
    player.start(event);
    state.result = `${event.job}/`;
    working("Reading the video…", "");
  },
  frames: (event) => player.addFrames(event),
  masks: (event) => player.addMasks(event),
  progress({ phase, done, total, rate, left }) {
    const title = PHASES[phase];
    const frames = total === null ? `${Math.floor(done)} frames` : `${Math.floor(done)} of ${number(total)} frames`;
    const facts = done ? `${frames} · ${rate.toFixed(1)} frames/s${timeLeft(left)}` : frames;
    working(title, facts, total === null ? null : done / total);
    say(`${title}: ${facts}`, true);
  },
  segmented({ preview, frames }) {
    player.loadVideo(server.fileAddress(preview), frames);
    say("All masks are found.");
  },
  saved: ({ files }) => offer(files, []),
  finished({ files, warnings }) {
    const lost = player.lost.map((text) => `“${text}” was found in no frame. Other words, or a lower score under Options, may help.`);
    offer(files, [...lost, ...warnings]);
    finish();
    say("Finished. The files can be downloaded.");
  },
  cancelled() {
    finish();
    player.poster(state.video.poster, state.video.width, state.video.height);
    clearResult();
    working("Cancelled", "Nothing was kept.", 0);
    say("Cancelled");
  },
  end: () => finish(),
  error({ text }) {
    finish();
    get("work").hidden = true;
    problem(text);
  },
};

const happened = (event) => happenings[event.kind]?.(event);

function finish() {
  if (!state.job) return;
  const job = state.job;
  state.job = null;
  job.end({ kind: "end" });
  const focused = document.activeElement === get("cancel");
  ready();
  if (focused) get("go").focus({ preventScroll: true });
  get("work").hidden = true;
}

const FILES = {
  overlay: ["Overlay", "MP4, as in the player"],
  cutout: ["Cut-out", "WebM with alpha, to edit"],
  masks: ["Masks", "PNG files in a ZIP"],
  result: ["Result", "JSON: scores, boxes, RLE"],
};

const bytes = (size) => (size < 1e6 ? `${Math.max(1, Math.round(size / 1e3))}\u00a0kB` : `${(size / 1e6).toFixed(1)}\u00a0MB`);
const factsOf = (what, { size }) => `${FILES[what][1]} · ${bytes(size)}`;

/** More files can be downloaded; those that are offered already stay as they are. */
function offer(files, warnings) {
  const offered = new Set([...get("files").querySelectorAll("a")].map(({ dataset }) => dataset.path));
  for (const { what, about, file } of files.filter((one) => !offered.has(one.file.path))) {
    const title = FILES[what][0];
    const link = Object.assign(document.createElement("a"), { href: server.fileAddress(file.path), download: file.orig_name });
    Object.assign(link.dataset, { what, path: file.path });
    link.append(
      Object.assign(document.createElement("b"), { textContent: about ? `${title}: ${about}` : title }),
      " ",
      Object.assign(document.createElement("span"), { textContent: factsOf(what, file) }),
    );
    if (what === "overlay") followThePlayer(link);
    const item = document.createElement("li");
    item.append(link);
    get("files").append(item);
  }
  get("notes").replaceChildren(...warnings.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  get("downloads").hidden = false;
}

/** The overlay's link leads to one that looks as the player does; where that is not painted yet, it is painted first. */
function followThePlayer(link) {
  const facts = link.querySelector("span");
  const hint = facts.textContent;
  let painted = JSON.stringify({ colours: player.expressions.map(({ usual }) => usual), opacity: state.opacity });
  link.addEventListener("click", (event) => {
    const wanted = JSON.stringify(player.look);
    if (wanted === painted) return;
    event.preventDefault();
    if (state.painting) return;
    problem("");
    const happened = ({ kind, place, of, done, total, files, text }) => {
      if (kind === "queue") facts.textContent = `Waiting: place ${place} of ${of}`;
      if (kind === "progress") facts.textContent = `Painting as in the player: ${Math.floor((100 * done) / total)} %`;
      if (!["finished", "cancelled", "error", "end"].includes(kind) || !state.painting) return;
      state.painting = null;
      link.removeAttribute("aria-busy");
      facts.textContent = hint;
      if (kind === "error") problem(text);
      if (kind !== "finished") return;
      painted = wanted;
      link.href = server.fileAddress(files[0].file.path);
      facts.textContent = factsOf("overlay", files[0].file);
      say("The overlay is painted as in the player.");
      link.click();
    };
    facts.textContent = "Painting as in the player…";
    link.setAttribute("aria-busy", "true");
    say("Painting the overlay as in the player");
    state.painting = server.paintOverlay(state.result, player.look, happened);
  });
}

// --- beginning -------------------------------------------------------------------------------------------

async function begin() {
  loadExamples();
  try {
    const { model, device, minScore, opacity, limits } = await server.settings();
    Object.assign(state, { limits, opacity });
    get("opacity").value = 100 * opacity;
    get("engine").textContent = `${model} on ${device}`;
    get("limits").textContent = `Up to ${limits.uploadText} and ${number(limits.frames)} frames (${Math.round(limits.frames / 30)} s at 30 frames/s).`;
    get("min-score").value = minScore;
    get("min-score-now").textContent = Number(get("min-score").value).toFixed(2);
    count();
  } catch (error) {
    return problem(error.message);
  }
  get("ask").addEventListener("submit", go);
  get("cancel").addEventListener("click", () => state.job?.cancel());
  get("sentences").addEventListener("input", count);
  get("sentences").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) get("ask").requestSubmit();
  });
  get("min-score").addEventListener("input", () => (get("min-score-now").textContent = Number(get("min-score").value).toFixed(2)));
  get("file").addEventListener("change", () => get("file").files[0] && take(get("file").files[0]));
  get("other").addEventListener("click", () => {
    letGo();
    clearResult();
    player.clear();
    get("file").focus();
  });
  get("upload-stop").addEventListener("click", () => letGo());
  acceptDrops();
  if (cameraIsPossible()) {
    const camera = new Camera(take, state.limits.frames);
    get("camera").hidden = false;
    get("camera").addEventListener("click", () => camera.open());
  }
  addEventListener("pagehide", (event) => {
    if (event.persisted) return;
    state.job?.cancel();
    clearResult();
    letGo();
  });
  document.documentElement.dataset.ready = "true";
}

begin();
