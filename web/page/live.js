// The microphone goes to the server as it is heard; sound and pictures come back, and are played by one clock, the sound's.

const $ = (query) => document.querySelector(query);
const RATE = 16000;
const AHEAD = 0.15; // seconds that sound waits before it is played, so that a message may be late
const button = $("#speak"), state = $("#live-state"), problem = $("#live-problem"), canvas = $("#live-picture");
let face = null;
let live = null;

document.addEventListener("face", (event) => {
  face = event.detail;
  if (!live) button.disabled = !face;
});

button.onclick = () => (live ? live.stop() : start());

async function start() {
  problem.textContent = "";
  let context, microphone;
  try {
    microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, channelCount: 1 } });
    context = new AudioContext({ sampleRate: RATE });
    await context.audioWorklet.addModule("/page/listen.js");
    context.createMediaStreamSource(microphone); // some browsers cannot join other rates
  } catch {
    microphone?.getTracks().forEach((track) => track.stop());
    context?.close();
    problem.textContent = "The microphone cannot be used: allow it in the browser (it needs localhost or https), or make a video.";
    return;
  }
  live = new Live(context, microphone);
  button.classList.add("recording");
  button.lastElementChild.textContent = "Stop";
  state.textContent = "Getting the face ready…";
}

class Live {
  constructor(context, microphone) {
    Object.assign(this, { context, microphone, pictures: [], shown: 0, apart: 0, late: 0, origin: null, spoken: null, report: null });
    this.loud = new GainNode(context);
    this.loud.connect(context.destination);
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.socket.send(JSON.stringify({ face, settings: chosen() }));
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.told(JSON.parse(data)) : this.packet(data));
    this.socket.onclose = () => this.over();
  }

  told(said) {
    if (said.error) problem.textContent = said.error;
    else if (said.status === "waiting") state.textContent = "Waits for a video that is being made…";
    else if (said.status === "ready") this.listen(said);
    else if (said.status === "done") this.report = said.report;
  }

  listen(ready) {
    Object.assign(canvas, { width: ready.width, height: ready.height, hidden: false });
    this.ready = ready;
    state.textContent = "Speak…";
    const source = this.context.createMediaStreamSource(this.microphone), listener = new AudioWorkletNode(this.context, "listen");
    listener.port.onmessage = ({ data }) => {
      if (this.socket.readyState !== WebSocket.OPEN || this.ended) return;
      this.spoken ??= data.heard;
      this.socket.send(data.pcm);
    };
    source.connect(listener).connect(this.context.destination); // silent, but what leads nowhere may not be run
    this.context.resume();
    this.draw();
  }

  async packet(data) {
    const head = new DataView(data), time = head.getFloat64(0, true), size = head.getUint32(8, true);
    if (size) this.play(time, new Int16Array(data.slice(12, 12 + size)));
    if (data.byteLength > 12 + size) {
      const entry = { time, picture: null };
      this.pictures.push(entry);
      const jpeg = new Blob([new Uint8Array(data, 12 + size)], { type: "image/jpeg" });
      entry.picture = await createImageBitmap(jpeg).catch(() => null);
      if (!entry.picture) this.pictures.splice(this.pictures.indexOf(entry), 1);
    }
  }

  play(time, samples) {
    const now = this.context.currentTime;
    this.origin ??= now + AHEAD - time; // second 0 of the sound is heard then
    if (this.origin + time < now) { // it came too late: everything goes on later
      this.origin = now + AHEAD - time;
      this.late += 1;
    }
    const buffer = this.context.createBuffer(1, samples.length, RATE), node = new AudioBufferSourceNode(this.context, { buffer });
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
    node.connect(this.loud);
    node.start(this.origin + time);
    this.end = this.origin + time + buffer.duration;
  }

  draw() {
    if (this.closed) return;
    requestAnimationFrame(() => this.draw());
    this.loud.gain.value = $("#hear").checked ? 1 : 0;
    if (this.origin === null) return;
    const heard = this.context.currentTime - (this.context.outputLatency || 0) - this.origin;
    let entry = null;
    while (this.pictures.length && this.pictures[0].time <= heard + 0.008 && this.pictures[0].picture) entry = this.pictures.shift();
    if (!entry) return;
    canvas.getContext("2d").drawImage(entry.picture, 0, 0);
    entry.picture.close();
    this.shown += 1;
    this.apart = Math.max(this.apart, Math.abs(heard - entry.time));
    Object.assign(canvas.dataset, { shown: this.shown, apart: this.apart.toFixed(3), late: this.late });
    const behind = this.origin - this.spoken + (this.context.outputLatency || 0);
    state.textContent = `${(this.shown / Math.max(heard, 0.5)).toFixed(1)} pictures a second, ${behind.toFixed(1)} s after you`;
    canvas.dataset.behind = behind.toFixed(3);
  }

  stop() {
    this.ended = true;
    if (this.socket.readyState === WebSocket.OPEN && this.ready) this.socket.send(JSON.stringify({ end: true }));
    else this.socket.close();
    this.microphone.getTracks().forEach((track) => track.stop());
    state.textContent = "Says the rest…";
    button.disabled = true;
  }

  over() {
    const rest = this.end ? Math.max(this.end - this.context.currentTime, 0) * 1000 + 200 : 0; // is still to be heard
    setTimeout(() => {
      this.closed = true;
      this.microphone.getTracks().forEach((track) => track.stop());
      this.context.close();
      live = null;
      button.classList.remove("recording");
      button.lastElementChild.textContent = "Speak live";
      button.disabled = !face;
      state.textContent = this.report ? `${this.report.shown} of ${this.report.frames} pictures were made in time.` : "";
    }, rest);
  }
}

function chosen() {
  const found = { quality: document.querySelector("select[name=quality]").value }, who = $(".faces input:checked")?.value;
  for (const name of ["extend", "strict_pose"]) found[name] = document.querySelector(`select[name=${name}]`).value;
  found.restorer_strength = document.querySelector("select[name=restorer_strength]").value;
  if ($("[name=mark]").checked) found.mark = "true";
  if (!$("[name=face_occluder]").checked) found.face_occluder = "false";
  if (who && !$("#faces").hidden) found.face = who;
  return found;
}
