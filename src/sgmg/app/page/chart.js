// Scores over time, and the way to any frame: a slider with lines on it.

const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  constructor(svg, onSeek) {
    this.svg = svg;
    this.onSeek = onSeek;
    this.reset(1, []);
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      svg.focus();
      this.pointed(event);
    });
    svg.addEventListener("pointermove", (event) => event.buttons && this.pointed(event));
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  /** Empty, for so many frames and lines of these colours. */
  reset(total, colours) {
    this.total = Math.max(1, total);
    this.now = 0;
    this.known = 0;
    this.svg.replaceChildren();
    this.half = this.add("line", { class: "half", x1: 0, x2: 1000, y1: 50, y2: 50 });
    this.todo = this.add("rect", { class: "todo", y: 0, height: 100, x: 0, width: 1000 });
    this.halos = colours.map(() => this.add("polyline", { class: "halo" }));
    this.lines = colours.map((colour) => this.add("polyline", { stroke: colour }));
    this.cursor = this.add("line", { class: "now", y1: 0, y2: 100, x1: 0, x2: 0 });
    this.svg.setAttribute("aria-valuemax", this.total);
  }

  add(name, attributes) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    this.svg.append(node);
    return node;
  }

  x(frame) {
    return this.total === 1 ? 500 : (frame / (this.total - 1)) * 1000;
  }

  /** What is known so far: for each line its scores (holes where there is none yet). */
  draw(tracks, known, total = this.total) {
    this.total = Math.max(1, total, known);
    this.known = known;
    this.svg.setAttribute("aria-valuemax", Math.max(1, known));
    tracks.forEach((scores, index) => {
      const points = [];
      scores.forEach((score, frame) => points.push(`${this.x(frame).toFixed(1)},${(96 - 92 * score).toFixed(1)}`));
      const text = points.length === 1 ? `0,${points[0].split(",")[1]} 1000,${points[0].split(",")[1]}` : points.join(" ");
      this.halos[index].setAttribute("points", text);
      this.lines[index].setAttribute("points", text);
    });
    const from = known >= this.total ? 1000 : this.x(Math.max(0, known - 1));
    this.todo.setAttribute("x", from);
    this.todo.setAttribute("width", 1000 - from);
    this.show(this.now, this.spoken);
  }

  show(frame, spoken = "") {
    this.now = frame;
    this.spoken = spoken;
    this.cursor.setAttribute("x1", this.x(frame));
    this.cursor.setAttribute("x2", this.x(frame));
    this.svg.setAttribute("aria-valuenow", frame + 1);
    this.svg.setAttribute("aria-valuetext", spoken);
  }

  colour(index, colour) {
    this.lines[index].setAttribute("stroke", colour);
  }

  visible(index, shown) {
    for (const line of [this.lines[index], this.halos[index]]) line.style.display = shown ? "" : "none";
  }

  pointed(event) {
    const box = this.svg.getBoundingClientRect();
    this.seek(Math.round(((event.clientX - box.left) / box.width) * (this.total - 1)));
  }

  key(event) {
    const page = Math.max(1, Math.round(this.total / 10));
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -page, PageUp: page };
    const ends = { Home: 0, End: this.known - 1 };
    if (event.key in steps) this.seek(this.now + steps[event.key]);
    else if (event.key in ends) this.seek(ends[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  seek(frame) {
    if (this.known) this.onSeek(Math.min(Math.max(frame, 0), this.known - 1));
  }
}
