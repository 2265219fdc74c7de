// The page: sends files once, names them in jobs, and asks how these are.  Nothing is loaded from anywhere else.

export const $ = (query, within = document) => within.querySelector(query);
const STAGES = { "find faces": "Looking for faces", align: "Following the face", speak: "Making frames" };
const EVERY = 700; // milliseconds between two questions
export const sent = { video: null, audio: null }; // what the server said of each upload
const cards = new Map(); // of jobs, by their id
let limits = null;
let asking = false, changed = false;
export const chosen = { video: 0, audio: 0 }; // counts what was chosen, so that what comes late of an older choice is left out

export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. It may be starting again: wait a moment, what was sent is kept.");
  }
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.error || `The server answered ${answer.status}.`), { status: answer.status });
  return said;
}

export function form(fields) {
  const found = new FormData();
  for (const [name, value] of Object.entries(fields)) found.append(name, value);
  return found;
}

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function finished(job) {
  while (job.status === "queued" || job.status === "running") {
    await wait(EVERY / 2);
    job = await ask(`/jobs/${job.id}`);
  }
  if (job.problem) throw new Error(job.problem.error);
  return job;
}

// Files

function send(kind, file, moved) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest(); // unlike fetch it says how much was sent
    request.open("POST", "/uploads");
    request.upload.onprogress = (event) => { if (event.lengthComputable) moved(event.loaded / event.total); };
    request.upload.onload = () => moved(null); // the server looks at it
    request.onerror = () => failed(new Error("The file could not be sent: it may be too large, or the server away."));
    request.onload = () => {
      let said = {};
      try { said = JSON.parse(request.responseText); } catch { /* told by the status */ }
      if (request.status < 300) done(said);
      else failed(new Error(said.error || `The server answered ${request.status}.`));
    };
    request.send(form({ [kind]: file }));
  });
}

function show(kind, file, url = URL.createObjectURL(file)) {
  const drop = $(`#${kind}-drop`), shown = $(".shown", drop);
  shown.replaceChildren();
  if (kind === "video") {
    const picture = document.createElement(file.type.startsWith("image/") ? "img" : "video");
    Object.assign(picture, { src: url, muted: true, loop: true, playsInline: true, autoplay: true, alt: "" });
    picture.onerror = () => picture.remove();
    shown.append(picture);
  } else {
    Object.assign($("#audio-player"), { src: url, hidden: false });
  }
  shown.append(file.name);
  drop.classList.add("filled");
  $(".hint", drop).textContent = "Drop or choose another";
}

export async function take(kind, file) {
  const mine = ++chosen[kind], problem = $(`#${kind}-problem`), bar = $(`#${kind}-drop progress`);
  problem.textContent = "";
  sent[kind] = null;
  bar.hidden = true;
  if (kind === "video") $("#faces").hidden = true;
  ready();
  if (limits && file.size > limits.bytes) {
    problem.textContent = `${file.name}: has more than ${Math.round(limits.bytes / 2 ** 20)} MiB; send a smaller file.`;
    return;
  }
  show(kind, file);
  Object.assign(bar, { hidden: false, value: 0 });
  const moved = (share) => {
    if (mine !== chosen[kind]) return;
    if (share === null) bar.removeAttribute("value"); else bar.value = share;
  };
  try {
    const found = await send(kind, file, moved);
    if (mine !== chosen[kind]) return;
    sent[kind] = found;
    if (kind === "video") findFaces(found.id, mine);
    else setMoments(found.seconds);
  } catch (error) {
    if (mine !== chosen[kind]) return;
    problem.textContent = error.message;
    if (kind === "audio") $("#audio-player").hidden = true;
  }
  bar.hidden = true;
  ready();
}

export function hear(said) { // takes a sound that the server made itself; null: it is not what shall be heard any more
  chosen.audio++;
  sent.audio = said;
  $("#audio-player").hidden = $("#audio-drop progress").hidden = true;
  if (said) {
    show("audio", said, `/uploads/${said.id}`);
    setMoments(said.seconds);
  } else $("#audio-drop .shown").textContent = "";
  ready();
}

function ready() {
  for (const button of [$("#make"), $("#preview")]) button.disabled = !(sent.video && sent.audio);
  document.dispatchEvent(new CustomEvent("face", { detail: sent.video?.id ?? null })); // for live.js
}

for (const kind of ["video", "audio"]) {
  const drop = $(`#${kind}-drop`), input = $(`#${kind}`);
  input.onchange = () => { if (input.files[0]) take(kind, input.files[0]); input.value = ""; };
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) take(kind, event.dataTransfer.files[0]);
  };
}
window.addEventListener("dragover", (event) => event.preventDefault()); // a file beside the fields opens nothing
window.addEventListener("drop", (event) => event.preventDefault());

// Whose face

async function findFaces(video, mine) { // mine: which choice of a video it is
  const field = $("#faces"), note = $("#faces-note"), list = $(".faces", field);
  list.replaceChildren();
  field.hidden = false;
  note.textContent = "Looking who is to be seen…";
  try {
    const job = await finished(await ask("/jobs", { method: "POST", body: form({ video, kind: "faces" }) }));
    if (mine !== chosen.video) return;
    const many = job.faces.length > 1;
    note.textContent = many ? "" : "One person, who will speak.";
    list.classList.toggle("one", !many);
    job.faces.forEach((face, number) => {
      const label = document.createElement("label"), choice = document.createElement("input");
      const picture = document.createElement("img"), when = document.createElement("span");
      Object.assign(choice, { type: "radio", name: "face", value: many ? face.face : "", checked: number === 0 });
      Object.assign(picture, { src: face.picture, alt: `Person ${number + 1}` });
      when.textContent = many ? `Person ${number + 1}${sent.video?.still ? "" : `, seen at ${face.when}`}` : "";
      label.append(picture, choice, when);
      list.append(label);
    });
  } catch (error) {
    if (mine !== chosen.video) return;
    field.hidden = true;
    $("#video-problem").textContent = error.message;
  }
}

// Jobs

function settings() {
  const found = {};
  for (const select of document.querySelectorAll(".choices select")) {
    const usual = [...select.options].find((option) => option.defaultSelected) ?? select.options[0];
    if (select.value !== usual.value || select.name === "quality") found[select.name] = select.value;
  }
  for (const box of document.querySelectorAll(".choices input[type=checkbox]")) {
    if (box.checked !== box.defaultChecked) found[box.name] = String(box.checked);
  }
  const face = $(".faces input:checked")?.value;
  if (face && !$("#faces").hidden) found.face = face;
  return found;
}

function words(given) {
  const said = [];
  for (const select of document.querySelectorAll(".choices select")) {
    const option = [...select.options].find((one) => one.value === given[select.name]);
    if (option) said.push(`${select.parentNode.firstChild.textContent.trim().toLowerCase()} ${option.text}`);
  }
  for (const box of document.querySelectorAll(".choices input[type=checkbox]")) {
    if (box.dataset[given[box.name]]) said.push(box.dataset[given[box.name]]);
  }
  if (given.face) said.push(`person ${Number(given.face.split(":")[1]) + 1} speaks`);
  return said.join("; ");
}

function setMoments(seconds) {
  const range = $("#moment");
  range.max = Math.max(0, Math.floor(seconds * 10 - 1) / 10);
  range.value = seconds / 3;
  range.oninput();
}
$("#moment").oninput = () => { $("#second").textContent = Number($("#moment").value).toFixed(1); };

$("#preview").onclick = async () => {
  const button = $("#preview"), problem = $("#form-problem"), figure = $("#still"), begun = Date.now();
  problem.textContent = "";
  button.disabled = true;
  button.textContent = "Making it…";
  const { compare, ...given } = settings();
  const fields = { kind: "preview", preview: $("#moment").value, video: sent.video.id, audio: sent.audio.id, ...given };
  try {
    const job = await finished(await ask("/jobs", { method: "POST", body: form(fields) }));
    $("img", figure).src = job.result;
    $("figcaption", figure).textContent =
      `At ${Number(fields.preview).toFixed(1)} s, before and after; made in ${((Date.now() - begun) / 1000).toFixed(1)} s.`;
    figure.hidden = false;
  } catch (error) {
    problem.textContent = error.message;
  }
  button.textContent = "Preview one frame";
  ready();
};

$("#form").onsubmit = async (event) => {
  event.preventDefault();
  const problem = $("#form-problem");
  problem.textContent = "";
  $("#make").disabled = true;
  try {
    const job = await ask("/jobs", { method: "POST", body: form({ video: sent.video.id, audio: sent.audio.id, ...settings() }) });
    draw(job);
    cards.get(job.id).scrollIntoView({ behavior: "smooth", block: "nearest" });
    follow();
  } catch (error) {
    problem.textContent = error.message;
  }
  ready();
};

async function follow() {
  changed = true;  // an answer that is on its way may be older than what was just done
  if (asking) return;
  asking = true;
  for (let open = true; open || changed;) {
    changed = false;
    try {
      const jobs = (await ask("/jobs")).filter((job) => job.kind === "video");
      jobs.forEach(draw);
      for (const [id, card] of cards) if (!jobs.some((job) => job.id === id)) { card.remove(); cards.delete(id); }
      open = jobs.some((job) => job.status === "queued" || job.status === "running");
    } catch { /* it may be starting again */ }
    $("#none").hidden = cards.size > 0;
    if (open && !changed) await wait(EVERY);
  }
  asking = false;
}

function draw(job) {
  let card = cards.get(job.id);
  if (!card) {
    card = $("#job").content.cloneNode(true).firstElementChild;
    cards.set(job.id, card);
    $("#jobs").prepend(card);
    $("#none").hidden = true;
    $("h3", card).textContent = `${job.files.video.name} says ${job.files.audio.name}`;
    $(".words", card).textContent = words(job.settings);
    const act = (button, path, method) => {
      $(button, card).onclick = async () => {
        try { await ask(path, { method }); } catch (error) { $(".problem", card).textContent = error.message; }
        follow();
      };
    };
    act(".cancel", `/jobs/${job.id}/cancel`, "POST");
    act(".delete", `/jobs/${job.id}`, "DELETE");
    $(".again", card).onclick = async () => {
      const files = Object.fromEntries(Object.entries(job.files).map(([what, file]) => [what, file.id]));
      try { draw(await ask("/jobs", { method: "POST", body: form({ ...files, ...job.settings }) })); }
      catch (error) { $(".problem", card).textContent = error.message; }
      follow();
    };
  }
  const over = !["queued", "running"].includes(job.status), bar = $("progress", card);
  $(".state", card).hidden = over;
  $(".cancel", card).hidden = over;
  $(".delete", card).hidden = !over;
  $(".again", card).hidden = !["failed", "cancelled"].includes(job.status);
  $(".problem", card).textContent = job.status === "failed" ? job.problem.error : "";
  if (job.progress) bar.value = job.progress.done / Math.max(1, job.progress.of); else bar.removeAttribute("value");
  $(".stage", card).textContent = job.status === "queued"
    ? (job.position ? `Waits for ${job.position} other${job.position > 1 ? "s" : ""}` : "Is next")
    : job.progress ? `${STAGES[job.progress.stage] ?? job.progress.stage}: ${job.progress.done} of ${job.progress.of}` : "Begins";
  $(".expires", card).textContent = job.status === "cancelled" ? "Cancelled."
    : job.expires && job.status === "done" ? `Deleted on ${new Date(job.expires * 1000).toLocaleString()}.` : "";
  if (job.status === "done" && $(".pair", card).hidden) fill(card, job);
}

function fill(card, job) {
  const pair = $(".pair", card), video = $(".result video", card), source = $(".source", card);
  const link = $(".download", card), file = job.files.video;
  pair.hidden = false;
  if (job.motion) { $(".motion", card).hidden = false; $(".motion img", card).src = job.motion; }
  video.src = job.result;
  Object.assign(link, { href: `${job.result}?download=true`, hidden: false });
  $(".notes", card).replaceChildren(...job.notes.map((note) => Object.assign(
    document.createElement("li"), { textContent: note.replace(/;[^;]*--\w[^;]*$/, "") }))); // flags are for programs
  if (job.settings.compare === "true") {
    source.remove();
    pair.classList.add("wide");
    $(".result figcaption", card).textContent = "Before and after";
    return;
  }
  const before = document.createElement(file.still ? "img" : "video");
  Object.assign(before, { src: `/uploads/${file.id}`, alt: file.name, muted: true, playsInline: true, preload: "metadata" });
  before.onerror = () => { before.replaceWith("This browser cannot play the file."); };
  source.append(before);
  if (file.still) return;
  video.onplay = () => before.play().catch(() => {}); // side by side they run together
  video.onpause = () => before.pause();
  video.onseeked = () => { before.currentTime = Math.min(video.currentTime, before.duration || 0); };
}

export const limited = ask("/limits");
limited.then((found) => {
  limits = found;
  for (const name of found.extras) $(`[data-extra=${name}]`).hidden = false;
  const hours = limits.kept / 3600;
  $("#promise").textContent = `Files stay on this machine, up to ${Math.round(limits.bytes / 2 ** 20)} MiB and `
    + `${limits.seconds < 120 ? `${limits.seconds} seconds` : `${Math.round(limits.seconds / 60)} minutes`}, and are deleted after ${hours >= 1 ? `${Math.round(hours * 10) / 10} hours` : `${Math.round(hours * 60)} minutes`}.`;
});
ready();
follow();
