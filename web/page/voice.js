// A voice that is recorded here, or that of the server, where it has one, which says what is typed.

import { $, ask, chosen, form, hear, limited, sent, take } from "/page/page.js";

const problem = $("#audio-problem");

// Recording

let recorder = null;
$("#record").onclick = async () => {
  const button = $("#record"), words = $("span:last-child", button);
  if (recorder) return recorder.stop();
  problem.textContent = "";
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    problem.textContent = "The microphone cannot be used: allow it in the browser (it needs localhost or https), or choose a file.";
    return;
  }
  const pieces = [], begun = Date.now();
  const clock = setInterval(() => { words.textContent = `Stop (${Math.round((Date.now() - begun) / 1000)} s)`; }, 250);
  recorder = new MediaRecorder(stream);
  recorder.ondataavailable = (event) => pieces.push(event.data);
  recorder.onstop = () => {
    clearInterval(clock);
    stream.getTracks().forEach((track) => track.stop());
    const ending = recorder.mimeType.includes("mp4") ? "mp4" : recorder.mimeType.includes("ogg") ? "ogg" : "webm";
    recorder = null;
    button.classList.remove("recording");
    words.textContent = "Record your voice";
    take("audio", new File(pieces, `voice.${ending}`, { type: pieces[0]?.type }));
  };
  recorder.start();
  button.classList.add("recording");
  words.textContent = "Stop (0 s)";
};

// Typing

const text = $("#text"), button = $("#say"), count = $("#count");
let said = null; // the upload that became of it

text.oninput = () => {
  button.disabled = !text.value.trim();
  count.textContent = `${text.value.length} of ${text.maxLength}`;
  if (said && sent.audio === said) hear(null); // what was said is not what is typed
  said = null;
};

button.onclick = async () => {
  problem.textContent = "";
  button.disabled = text.readOnly = true;
  button.textContent = "Saying it…";
  const before = chosen.audio;
  try {
    const found = await ask("/speech", { method: "POST", body: form({ text: text.value }) });
    if (before === chosen.audio) hear(said = found); // else another sound was chosen meanwhile
  } catch (error) {
    problem.textContent = error.message;
  }
  button.textContent = "Turn into a voice";
  button.disabled = text.readOnly = false;
};

const { voice } = await limited;
if (voice) {
  Object.assign(text, { maxLength: voice.characters, lang: voice.language, value: "" });
  text.oninput();
  $("#typing").hidden = false;
}
