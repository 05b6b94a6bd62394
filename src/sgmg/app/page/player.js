// The player: pictures of the frames while the work goes on, then the video; masks over both.

import { Chart } from "./chart.js";
import { colourIn, isEmpty, pixelsOf } from "./masks.js";

const get = (id) => document.getElementById(id);

export class Player {
  constructor() {
    this.screen = get("screen");
    this.video = get("video");
    this.picture = get("picture");
    this.canvas = get("masks");
    this.scratch = document.createElement("canvas");
    this.chart = new Chart(get("chart"), (frame) => this.jump(frame));
    get("play").addEventListener("click", () => this.toggle());
    get("back").addEventListener("click", () => this.jump(this.now - 1));
    get("forward").addEventListener("click", () => this.jump(this.now + 1));
    get("sound").addEventListener("click", () => this.sound(this.video.muted));
    get("opacity").addEventListener("input", () => this.draw());
    this.screen.addEventListener("click", () => this.ready && this.toggle());
    get("stage").addEventListener("keydown", (event) => this.key(event));
    for (const name of ["play", "pause"]) this.video.addEventListener(name, () => this.playing(!this.video.paused));
    this.video.addEventListener("seeked", () => this.follow(this.video.currentTime));
    this.video.addEventListener("loadeddata", () => this.videoIsThere());
    this.clear();
  }

  /** How it paints: a colour for each sentence, null where it is hidden, and the opacity. */
  get look() {
    const colours = this.expressions.map(({ shown, colour }) => (shown ? colour.toUpperCase() : null));
    return { colours, opacity: get("opacity").value / 100 };
  }

  /** The sentences whose masks are empty in all frames. */
  get lost() {
    return this.expressions.filter((_, index) => this.tracks[index].masks.every(isEmpty)).map(({ text }) => text);
  }

  get ready() {
    return this.times.length > 0;
  }

  /** Nothing to show yet. */
  clear() {
    this.expressions = [];
    this.times = [];
    this.tracks = [];
    this.pictures = new Map();
    this.now = 0;
    this.total = null;
    this.inVideo = false;
    this.waiting = [];
    clearTimeout(this.timer);
    this.playing(false);
    this.video.removeAttribute("src");
    this.video.load();
    this.video.hidden = true;
    this.picture.hidden = false;
    this.picture.getContext("2d").clearRect(0, 0, this.picture.width, this.picture.height);
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.screen.classList.remove("ready");
    this.screen.style.removeProperty("--aspect");
    get("empty").hidden = false;
    get("player").hidden = true;
    get("legend").replaceChildren();
  }

  /** The first frame of a video that was chosen. */
  poster(address, width, height) {
    this.clear();
    this.shape(width, height);
    get("empty").hidden = true;
    const image = new Image();
    image.onload = () => !this.ready && this.paint(image);
    image.src = address;
  }

  shape(width, height) {
    this.screen.style.setProperty("--aspect", `${width} / ${height}`);
  }

  /** A segmentation begins. */
  start({ expressions, size, frames, fps }) {
    const [height, width] = size;
    this.expressions = expressions.map((expression) => ({ ...expression, usual: expression.colour, shown: true }));
    this.tracks = expressions.map(() => ({ scores: [], masks: [], pixels: null }));
    this.size = size;
    this.fps = fps;
    this.total = frames;
    this.shape(width, height);
    for (const canvas of [this.canvas, this.scratch]) Object.assign(canvas, { width, height });
    this.scratch.getContext("2d", { willReadFrequently: true });
    this.chart.reset(frames ?? 1, expressions.map(({ colour }) => colour));
    get("empty").hidden = true;
    get("player").hidden = false;
    get("sound").hidden = true;
    this.buildLegend();
    this.clock();
  }

  buildLegend() {
    get("legend").replaceChildren(
      ...this.expressions.map((expression, index) => {
        const row = document.createElement("li");
        const shown = Object.assign(document.createElement("input"), { type: "checkbox", id: `shown-${index}`, checked: true });
        const colour = Object.assign(document.createElement("input"), { type: "color", value: expression.colour.toLowerCase() });
        colour.setAttribute("aria-label", `Colour of “${expression.text}”`);
        const label = Object.assign(document.createElement("label"), { htmlFor: shown.id, textContent: expression.text });
        label.dir = "auto";
        const score = Object.assign(document.createElement("span"), { className: "score" });
        shown.addEventListener("change", () => {
          expression.shown = shown.checked;
          this.chart.visible(index, shown.checked);
          this.draw();
        });
        colour.addEventListener("input", () => {
          expression.colour = colour.value;
          this.chart.colour(index, colour.value);
          this.draw();
        });
        expression.score = score;
        row.append(shown, colour, label, score);
        return row;
      }),
    );
  }

  /** Frames that are being worked on. */
  addFrames({ start, times, pictures }) {
    times.forEach((time, index) => (this.times[start + index] = time));
    for (const [index, address] of Object.entries(pictures)) {
      const image = new Image();
      image.onload = () => Number(index) === this.shownPicture && this.draw();
      image.src = address;
      this.pictures.set(Number(index), image);
    }
    this.screen.classList.add("ready");
    if (!this.found) this.waiting.push(...Object.keys(pictures).map(Number)); // later, only frames that have masks
    this.total = this.total === null ? null : Math.max(this.total, this.times.length);
    this.update();
    if (!this.found) this.runThrough();
  }

  /** How many frames have masks. */
  get found() {
    return this.tracks[0]?.masks.length ?? 0;
  }

  /** Masks that were found. */
  addMasks({ start, scores, masks }) {
    masks.forEach((track, index) => {
      const mine = this.tracks[index];
      track.forEach((counts, frame) => {
        mine.masks[start + frame] = counts;
        mine.scores[start + frame] = scores[index][frame];
      });
    });
    this.waiting = [...this.pictures.keys()].filter((index) => index >= start && index < this.found);
    this.update();
    this.runThrough();
  }

  update() {
    this.chart.draw(this.tracks.map(({ scores }) => scores), this.found, this.total ?? this.times.length);
    this.draw();
  }

  /** While the work goes on: show what is new, picture by picture. */
  runThrough() {
    clearTimeout(this.timer);
    if (this.inVideo || this.held) return;
    const next = this.waiting.shift();
    if (next === undefined) {
      this.playing(false);
      return;
    }
    this.show(next);
    const gap = this.waiting.length ? this.times[this.waiting[0]] - this.times[next] : 0;
    this.timer = setTimeout(() => this.runThrough(), Math.min(Math.max(gap, 0.04), 0.4) * 1000);
  }

  /** All is found; from now on there is a video of all the frames. */
  loadVideo(address, frames) {
    this.times.length = Math.min(this.times.length, frames);
    this.total = frames;
    this.update();
    this.video.src = address;
  }

  videoIsThere() {
    if (this.inVideo || !this.ready) return;
    clearTimeout(this.timer);
    this.inVideo = true;
    this.video.hidden = false;
    this.picture.hidden = true;
    get("sound").hidden = !this.hasSound();
    this.sound(false);
    this.seekVideo(this.held ? this.now : 0);
    this.followFrames();
    if (!this.held && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.video.play().catch(() => {});
  }

  hasSound() {
    const { audioTracks, mozHasAudio, webkitAudioDecodedByteCount } = this.video;
    return Boolean(mozHasAudio || audioTracks?.length || webkitAudioDecodedByteCount);
  }

  sound(on) {
    this.video.muted = !on;
    get("sound").setAttribute("aria-pressed", on);
  }

  followFrames() {
    if (this.video.requestVideoFrameCallback) {
      const again = (_, { mediaTime }) => {
        if (!this.inVideo) return;
        if (!this.video.paused) get("sound").hidden = !this.hasSound();
        this.follow(mediaTime);
        this.video.requestVideoFrameCallback(again);
      };
      this.video.requestVideoFrameCallback(again);
    } else {
      const again = () => {
        if (!this.inVideo) return;
        this.follow(this.video.currentTime);
        requestAnimationFrame(again);
      };
      requestAnimationFrame(again);
    }
  }

  /** Show the frame that the video shows at a time in seconds. */
  follow(time) {
    if (!this.inVideo) return;
    let [low, high] = [0, this.times.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= time + 0.002) low = middle;
      else high = middle - 1;
    }
    if (low !== this.now || !this.drawn) this.show(low);
  }

  seekVideo(frame) {
    const next = this.times[frame + 1] ?? this.times[frame] + 1 / this.fps;
    this.video.currentTime = frame ? (this.times[frame] + next) / 2 : 0;
  }

  // --- what the visitor does -------------------------------------------------------------------------------

  jump(frame) {
    if (!this.ready) return;
    const target = Math.min(Math.max(frame, 0), Math.max(this.found, 1) - 1);
    this.held = true; // from now on the visitor leads
    clearTimeout(this.timer);
    this.playing(false);
    if (this.inVideo) {
      this.video.pause();
      this.seekVideo(target);
    }
    this.show(target);
  }

  toggle() {
    if (this.inVideo) {
      if (this.video.paused) this.video.play().catch(() => {});
      else this.video.pause();
      return;
    }
    this.held = this.screen.classList.contains("playing");
    if (this.held) {
      clearTimeout(this.timer);
      this.playing(false);
    } else {
      this.waiting = [...this.pictures.keys()].filter((index) => index < this.found);
      this.playing(true);
      this.runThrough();
    }
  }

  key(event) {
    if (!this.ready || event.altKey || event.ctrlKey || event.metaKey) return;
    const onControl = event.target.closest("button, a, input, summary");
    if (event.key === " " && !onControl) this.toggle();
    else if (event.key === "ArrowLeft" && event.target.type !== "range") this.jump(this.now - 1);
    else if (event.key === "ArrowRight" && event.target.type !== "range") this.jump(this.now + 1);
    else return;
    event.preventDefault();
  }

  // --- drawing ---------------------------------------------------------------------------------------------

  playing(on) {
    this.screen.classList.toggle("playing", on);
    const button = get("play");
    button.classList.toggle("playing", on);
    button.setAttribute("aria-label", on ? "Pause" : "Play");
  }

  show(frame) {
    this.now = frame;
    this.draw();
  }

  draw() {
    this.drawn = this.ready;
    if (!this.ready) return;
    if (!this.inVideo) this.drawPicture();
    const [height, width] = this.size;
    const target = this.canvas.getContext("2d");
    target.clearRect(0, 0, width, height);
    const opacity = get("opacity").value / 100;
    const line = Math.max(1, Math.round(Math.min(height, width) / 180));
    this.expressions.forEach((expression, index) => {
      const counts = this.tracks[index].masks[this.now];
      if (counts === undefined || !expression.shown) return;
      const scratch = this.scratch.getContext("2d");
      const image = scratch.createImageData(width, height);
      colourIn(image.data, pixelsOf(counts, this.size), this.size, expression.colour, opacity, line);
      scratch.putImageData(image, 0, 0);
      target.drawImage(this.scratch, 0, 0);
    });
    this.tell();
  }

  drawPicture() {
    const before = [...this.pictures.keys()].filter((index) => index <= this.now);
    this.shownPicture = before.length ? Math.max(...before) : undefined;
    const image = this.pictures.get(this.shownPicture);
    if (image?.complete && image.naturalWidth) this.paint(image);
  }

  paint(image) {
    Object.assign(this.picture, { width: image.naturalWidth, height: image.naturalHeight });
    this.picture.getContext("2d").drawImage(image, 0, 0);
  }

  /** The numbers beside the picture. */
  tell() {
    const spoken = [`frame ${this.now + 1} of ${this.times.length}`];
    this.expressions.forEach(({ text, score }, index) => {
      const value = this.tracks[index].scores[this.now];
      const known = Object.values(this.tracks[index].scores);
      const mean = known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
      score.replaceChildren();
      if (value === undefined) score.textContent = "…";
      else {
        const now = Object.assign(document.createElement("b"), { textContent: value.toFixed(2) });
        const average = Object.assign(document.createElement("span"), { className: "mean", textContent: ` · mean ${mean.toFixed(2)}` });
        const none = isEmpty(this.tracks[index].masks[this.now]);
        score.append(none ? "no mask · " : "", now, average);
        spoken.push(`${text} ${value.toFixed(2)}${none ? ", no mask" : ""}`);
      }
    });
    this.chart.show(this.now, spoken.join(", "));
    this.clock();
  }

  clock() {
    const seconds = (value) => `${Math.floor(value / 60)}:${(value % 60).toFixed(1).padStart(4, "0")}`;
    const total = this.total ?? this.times.length;
    get("clock").textContent = `${seconds(this.times[this.now] ?? 0)} · frame ${this.ready ? this.now + 1 : 0} of ${total}`;
  }
}
