// Talking to the server: Gradio's queue and API, and what is said when something goes wrong.

const LOST = "The server does not answer; is it still running? Try again.";

async function sentenceOf(answer) {
  if (answer.status === 401) return "You are signed out; load this page again.";
  if (answer.status === 503) return "Too many visitors are waiting already; try again in a few minutes.";
  const text = await answer.text().catch(() => "");
  const plain = text && text.length < 500 && !text.trimStart().startsWith("<");
  return plain ? text : "The server had a problem; its owner finds it in the terminal.";
}

async function asked(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error(LOST);
  }
  if (!answer.ok) throw new Error(await sentenceOf(answer));
  return answer.json();
}

export const settings = () => asked("settings");
export const examples = () => asked("examples");
export const about = (ticket) => asked(`about/${ticket}`);
export const fileAddress = (name) => `gradio_api/file=${name}`;

/** Deletes a file before its time; also while the page is left. */
export function forget(name) {
  if (name) navigator.sendBeacon(`forget/${name.split("/")[0]}`);
}

/** Uploads a file; the promise's `stop` ends it. Gives the ticket. */
export function upload(file, onProgress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status === 200) resolve(JSON.parse(request.responseText)[0]);
      else reject(new Error(request.responseText.length < 500 ? request.responseText : LOST));
    });
    request.addEventListener("error", () => reject(new Error(LOST)));
    request.addEventListener("abort", () => reject(new Error("")));
    const form = new FormData();
    form.append("files", file, file.name || "recording.webm");
    request.open("POST", "gradio_api/upload");
    request.send(form);
  });
  return { done, stop: () => request.abort() };
}

/** Work for the server: `on` is told of every event, of the place in the queue (`queue`), and of the end (`error`). */
class Work {
  constructor(endpoint, values, on) {
    this.on = on;
    this.ended = false;
    this.begin(endpoint, values);
  }

  async begin(endpoint, values) {
    const session = crypto.getRandomValues(new Uint32Array(3)).join("-");
    try {
      await asked(`gradio_api/call/${endpoint}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ data: values, session_hash: session }),
      });
    } catch (error) {
      this.end({ kind: "error", text: error.message });
      return;
    }
    this.stream = new EventSource(`gradio_api/queue/data?session_hash=${session}`);
    if (this.ended) {
      this.stream.onopen = () => this.stream.close(); // the server ends what nobody listens to any more
      return;
    }
    this.stream.onmessage = (message) => this.take(JSON.parse(message.data));
    this.stream.onerror = () => this.end({ kind: "error", text: "The connection to the server was lost; try again." });
  }

  take(message) {
    if (this.ended) return;
    if (message.msg === "estimation") this.on({ kind: "queue", place: message.rank + 1, of: message.queue_size });
    if (message.msg === "process_generating" && message.success) this.event(message.output.data[0]);
    if (message.msg === "process_completed" || message.msg === "unexpected_error") {
      const text = message.output?.error ?? "The server had a problem; its owner finds it in the terminal.";
      this.end(message.success ? { kind: "end" } : { kind: "error", text });
    }
  }

  event(event) {
    if (event.kind === "started") this.job = event.job;
    this.on(event);
  }

  /** At once for the visitor; the server follows in a moment. */
  cancel() {
    if (this.ended) return;
    if (this.job) navigator.sendBeacon(`cancel/${this.job}`);
    this.end({ kind: "cancelled" });
  }

  end(event) {
    if (this.ended) return;
    this.ended = true;
    this.stream?.close(); // which also takes a waiting visitor out of the queue
    this.on(event);
  }
}

export const segment = ({ video, sentences, minScore }, on) => new Work("segment", [video, sentences, minScore, true], on);

/** The overlay of a finished segmentation in the colours (null for none) and the opacity of the player. */
export const paintOverlay = (result, { colours, opacity }, on) => new Work("overlay", [result.split("/")[0], colours, opacity], on);
