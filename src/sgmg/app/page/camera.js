// Recording a clip with the camera.

const get = (id) => document.getElementById(id);

const TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];

/** Whether this browser lets this page ask for the camera: only on this computer, or over HTTPS. */
export const cameraIsPossible = () => Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

export class Camera {
  constructor(onRecorded, maxFrames) {
    this.onRecorded = onRecorded;
    this.seconds = Math.max(1, Math.min(60, Math.floor(maxFrames / 30)));
    get("record").addEventListener("click", () => (this.recorder ? this.recorder.stop() : this.record()));
    get("recorder-close").addEventListener("click", () => get("recorder").close());
    get("recorder").addEventListener("close", () => this.off());
  }

  async open() {
    get("recorder-hint").textContent = `Up to ${this.seconds} seconds. Nothing leaves this page before you stop.`;
    get("recorder").showModal();
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "environment" } });
      if (!get("recorder").open) return this.off();
      get("viewfinder").srcObject = this.stream;
      get("record").disabled = false;
    } catch (error) {
      const refused = error.name === "NotAllowedError";
      get("recorder-hint").textContent = refused
        ? "The browser was not allowed to use the camera; allow it in the address bar."
        : "No camera was found; connect one and open this again.";
      get("record").disabled = true;
    }
  }

  record() {
    const pieces = [];
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(this.stream, { mimeType, videoBitsPerSecond: 4_000_000 });
    const begin = Date.now();
    recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    recorder.addEventListener("stop", () => {
      if (this.recorder !== recorder) return; // closed without wanting it
      const type = recorder.mimeType.split(";")[0];
      get("recorder").close();
      this.onRecorded(new File(pieces, `camera.${type.endsWith("mp4") ? "mp4" : "webm"}`, { type }));
    });
    recorder.start(500);
    this.recorder = recorder;
    get("record").textContent = "Stop and use it";
    this.clock = setInterval(() => {
      const passed = Math.floor((Date.now() - begin) / 1000);
      get("recorder-hint").textContent = `Recording: ${passed} of ${this.seconds} seconds.`;
      if (passed >= this.seconds) recorder.stop();
    }, 250);
  }

  off() {
    clearInterval(this.clock);
    const { recorder } = this;
    this.recorder = null;
    if (recorder?.state === "recording") recorder.stop();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    get("viewfinder").srcObject = null;
    get("record").textContent = "Record";
  }
}
