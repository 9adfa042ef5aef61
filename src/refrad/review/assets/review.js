// Keyboard, pictures and verdicts of the review pages. Text of the dataset is only ever set as text, never as HTML.
"use strict";

const page = document.body.dataset.page;
const byId = (id) => document.getElementById(id);
const say = (text) => { byId("status").textContent = text; byId("alert").textContent = ""; };
const warn = (text) => { byId("alert").textContent = text; byId("status").textContent = ""; };

// Posts JSON, and gives the reply of the server, or null after it has said on the page why nothing was written.
async function post(path, body) {
  try {
    const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const content = await reply.json().catch(() => ({ error: "the server refused (" + reply.status + ")" }));
    if (reply.ok) return content;
    if (content.reviewer) location.href = "/reviewer?next=" + encodeURIComponent(location.pathname + location.search);
    warn("Not saved: " + content.error);
  } catch {
    warn("Not saved: the server does not answer. Is refrad review still running?");
  }
  return null;
}

// The verdicts on an item, in the part of the page that shows it: one question may be asked of several images.
function show(item, verdicts, part = document) {
  const place = part.querySelector(`[data-verdicts="${CSS.escape(item.item + " " + item.item_id)}"]`);
  place.replaceChildren(...verdicts.flatMap((verdict) => {
    const mark = document.createElement("span");
    mark.className = "verdict"; mark.dataset.verdict = verdict.state; mark.textContent = verdict.text;
    return [mark, document.createTextNode(" ")];
  }));
}

function follow(rel) {
  const link = document.querySelector(`a[rel=${rel}]`);
  if (link) link.click();
  else if (page === "pair" && byId("pair").dataset.queue === "random") say("Give a verdict first: a random sample has no gaps.");
  else say(rel === "next" ? "This is the last one." : "This is the first one.");
}

const keys = {
  "?": () => byId("help").showModal(),
  "/": () => { const field = document.querySelector("input[type=search]"); field ? field.focus() : (location.href = "/"); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) { dialogKey(event); return; }
  const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act && !(event.key === "Enter" && event.target.matches("a, button"))) { event.preventDefault(); act(event.key); }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button && button.dataset.act === "help") keys["?"]();
});

function dialogKey(event) {
  const dialog = document.querySelector("dialog[open]");
  if (dialog.id !== "reject" || event.target.id === "remark") return;
  const choice = dialog.querySelectorAll("input[type=radio]")[Number(event.key) - 1];
  if (choice) { event.preventDefault(); choice.checked = true; choice.focus(); }
  if (event.key === "Enter" && event.target.matches("input[type=radio]")) { event.preventDefault(); byId("save-reject").click(); }
}

// ---- the list of pairs
if (page === "pairs") {
  const links = [...document.querySelectorAll("a.open")];
  const move = (step) => {
    const at = links.indexOf(document.activeElement);
    const link = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step];
    if (link) link.focus(); else follow(step > 0 ? "next" : "prev");
  };
  Object.assign(keys, { j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1), n: () => follow("next"), p: () => follow("prev"), ArrowRight: () => follow("next"), ArrowLeft: () => follow("prev") });
  document.querySelectorAll(".filters select").forEach((select) => select.addEventListener("change", () => select.form.requestSubmit()));
  // Empty fields would make the address long.
  document.querySelector(".filters").addEventListener("formdata", (event) => { for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name); });
}

// ---- what has left the dataset
if (page === "left_out") {
  const items = [...document.querySelectorAll("article")];
  const move = (step) => {
    const item = items[items.indexOf(document.activeElement.closest("article")) + step];
    if (item) item.focus(); else follow(step > 0 ? "next" : "prev");
  };
  const undo = async (item) => {
    if (!item) { say("Which item? j goes to the next one."); return; }
    const reply = await post("/undo", { image_id: item.dataset.image, item: item.dataset.item, item_id: item.dataset.itemId, digest: item.dataset.digest });
    if (!reply) return;
    say(reply.message + (reply.undone ? " It comes back at the next run, unless another verdict rejects it." : ""));
    show({ item: item.dataset.item, item_id: item.dataset.itemId }, reply.verdicts, item);
  };
  items.forEach((item) => item.querySelector("[data-verdict-act]")?.addEventListener("click", () => undo(item)));
  Object.assign(keys, { j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1), n: () => follow("next"), p: () => follow("prev"), u: () => undo(document.activeElement.closest("article")) });
}

// ---- the reviewer's name
if (page === "reviewer") {
  byId("reviewer").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    if (await post("/reviewer", { name: form.elements.name.value })) location.href = form.dataset.next;
  });
}

// ---- one pair
if (page === "pair") {
  const article = byId("pair"), key = JSON.parse(article.dataset.key), slice = JSON.parse(article.dataset.slice);
  const queue = article.dataset.queue;
  const entities = [...document.querySelectorAll(".entity")], spans = [...document.querySelectorAll(".span")];
  let chosen = null;

  const choose = (number) => {
    chosen = number === chosen || number >= entities.length ? null : number;
    entities.forEach((button, n) => button.setAttribute("aria-pressed", n === chosen));
    spans.forEach((span) => span.setAttribute("aria-pressed", span.dataset.entities.split(" ").includes(String(chosen))));
    document.querySelectorAll("rect.box").forEach((box) => box.classList.toggle("chosen", box.dataset.entities.split(" ").includes(String(chosen))));
    byId("slice").classList.toggle("choosing", chosen !== null);
  };
  entities.forEach((button, n) => button.addEventListener("click", () => choose(n)));
  spans.forEach((span) => span.addEventListener("click", () => {
    const numbers = span.dataset.entities.split(" ").map(Number), at = numbers.indexOf(chosen);
    choose(at < 0 ? numbers[0] : at + 1 < numbers.length ? numbers[at + 1] : chosen);
  }));

  // -- verdicts
  const question = () => document.activeElement.closest(".question") || null;
  const itemOf = (near) => near ? { item: "question", item_id: near.dataset.question, digest: near.dataset.digest } : { item: "caption", item_id: key.caption, digest: article.dataset.digest };

  async function judge(verdict, item, extra = {}) {
    const reply = await post("/verdict", { ...key, ...item, verdict, queue, ...extra });
    if (!reply) return;
    say(reply.message);
    show(item, reply.verdicts);
    if (queue === "random" && item.item === "caption") { sessionStorage.setItem("judged", location.href); location.href = "/queue"; }
  }

  function wrong(verdict) {
    if (question()) { warn("Not saved: a question has no span, box or side: accept (a) or reject (r) it."); return; }
    const entity = chosen ?? (entities.length === 1 ? 0 : null);
    if (entity === null) { warn("Not saved: which phrase? Press its number, or click on it, and then the key again."); return; }
    judge(verdict, itemOf(null), { entity });
  }

  let rejected = null;
  const reject = (item) => { rejected = item; byId("remark").value = ""; byId("reject").showModal(); };
  byId("reject").addEventListener("close", () => {
    const dialog = byId("reject");
    if (dialog.returnValue === "save") {
      const remark = byId("remark").value.trim(), reason = dialog.querySelector("input[type=radio]:checked").value;
      judge("reject", rejected, { reason: remark ? `${reason}: ${remark}` : reason });
    }
    dialog.returnValue = "";
  });

  async function undo(item) {
    const reply = await post("/undo", { ...key, ...item, queue });
    if (!reply) return;
    if (!reply.undone && queue === "random" && sessionStorage.getItem("judged")) { location.href = sessionStorage.getItem("judged"); sessionStorage.removeItem("judged"); return; }
    say(reply.message);
    show(item, reply.verdicts);
  }

  const act = (verdict, near) => {
    if (verdict === "accept") judge(verdict, itemOf(near));
    else if (verdict === "reject") reject(itemOf(near));
    else if (verdict === "undo") undo(itemOf(near));
    else wrong(verdict);
  };
  document.querySelectorAll("[data-verdict-act]").forEach((button) => button.addEventListener("click", () => act(button.dataset.verdictAct, button.closest(".question"))));

  // -- slices and windows
  const picture = byId("picture"), range = byId("index"), chooser = byId("window"), source = byId("source").textContent;
  let index = slice.index, asked = 0;

  function outlineOf(path, style, name = "") {
    const outline = document.createElementNS("http://www.w3.org/2000/svg", "path"), title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    outline.setAttribute("class", "outline " + style);
    outline.setAttribute("d", path);
    title.textContent = name;
    outline.append(title);
    return outline;
  }

  // The other classes are fetched when they are first shown.
  async function fetchOthers() {
    if (byId("others").childElementCount) return;
    const reply = await fetch("/others?" + new URLSearchParams(slice.pair));
    if (reply.ok) byId("others").replaceChildren(...(await reply.json()).map((outline) => outlineOf(outline.path, "other", outline.name)));
  }

  async function draw() {
    const parameters = new URLSearchParams({ ...slice.address, index, window: chooser.value });
    picture.setAttribute("href", slice.path + "?" + parameters);
    const own = index === slice.index, number = ++asked;
    if (range) { range.value = index; byId("place").textContent = `slice ${index + 1} of ${slice.count}`; }
    byId("boxes").toggleAttribute("hidden", !own || !byId("show-boxes").checked);
    byId("numbers").toggleAttribute("hidden", !own || !byId("show-boxes").checked);
    byId("outlines").toggleAttribute("hidden", !own || !byId("show-outlines").checked);
    byId("others").toggleAttribute("hidden", !own || !byId("show-others").checked);
    byId("neighbour").toggleAttribute("hidden", own || !byId("show-outlines").checked);
    byId("source").textContent = own ? source : `Slice ${index + 1}: not the slice of this pair, which is ${slice.index + 1}. Outlines of the label volume.`;
    if (own) { if (byId("show-others").checked) await fetchOthers(); return; }
    const reply = await fetch("/outlines?" + new URLSearchParams({ ...slice.address, index, classes: slice.classes.join(",") }));
    if (number !== asked || !reply.ok) return;
    const outlines = await reply.json();
    byId("neighbour").replaceChildren(...outlines.map((outline) => outlineOf(outline.path, "p" + slice.colours[outline.class_id])));
    if (!outlines.length) byId("source").textContent += " None of the named classes is in it.";
  }
  const turn = (step) => { if (slice.count && index + step >= 0 && index + step < slice.count) { index += step; draw(); } };
  if (range) range.addEventListener("input", () => { index = Number(range.value); draw(); });
  chooser.addEventListener("change", draw);
  ["show-boxes", "show-outlines", "show-others"].forEach((id) => byId(id).addEventListener("change", draw));
  document.querySelectorAll("[data-act$=slice]").forEach((button) => button.addEventListener("click", () => turn(button.dataset.act === "next-slice" ? 1 : -1)));

  // -- zoom: the part of the picture that the stage shows, in mm
  const svg = byId("slice"), whole = svg.getAttribute("viewBox").split(" ").map(Number), zoomButton = document.querySelector("[data-act=zoom]");
  let view = [...whole];
  const place = (x, y, width) => {
    const share = Math.min(Math.max(width / whole[2], 0.02), 1);
    const limit = (at, extent, size) => Math.min(Math.max(at, 0), extent - size);
    view = [limit(x, whole[2], whole[2] * share), limit(y, whole[3], whole[3] * share), whole[2] * share, whole[3] * share];
    svg.setAttribute("viewBox", view.join(" "));
    document.querySelectorAll(".number").forEach((number) => number.setAttribute("font-size", slice.font_mm * share));
    zoomButton.setAttribute("aria-pressed", share < 1);
  };
  const zoom = () => {
    if (view[2] < whole[2]) { place(0, 0, whole[2]); return; }
    const boxes = [...document.querySelectorAll(chosen === null ? "rect.box" : "rect.box.chosen")].map((box) => ["x", "y", "width", "height"].map((name) => Number(box.getAttribute(name))));
    if (!boxes.length) { place(whole[2] / 4, whole[3] / 4, whole[2] / 2); return; }
    const low = [0, 1].map((axis) => Math.min(...boxes.map((box) => box[axis])) * slice.spacing[axis]);
    const high = [0, 1].map((axis) => Math.max(...boxes.map((box) => box[axis] + box[axis + 2])) * slice.spacing[axis]);
    const share = Math.min(0.7, 1.8 * Math.max((high[0] - low[0]) / whole[2], (high[1] - low[1]) / whole[3], 0.05));
    place((low[0] + high[0] - share * whole[2]) / 2, (low[1] + high[1] - share * whole[3]) / 2, share * whole[2]);
  };
  zoomButton.addEventListener("click", zoom);
  const stage = byId("stage");
  const mmPerPixel = () => Math.max(view[2] / stage.clientWidth, view[3] / stage.clientHeight);
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const factor = event.deltaY < 0 ? 0.8 : 1.25, middle = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    place(middle.x - (middle.x - view[0]) * factor, middle.y - (middle.y - view[1]) * factor, view[2] * factor);
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => { if (event.button === 0) { stage.setPointerCapture(event.pointerId); stage.classList.add("dragged"); } });
  stage.addEventListener("pointermove", (event) => { if (stage.classList.contains("dragged")) place(view[0] - event.movementX * mmPerPixel(), view[1] - event.movementY * mmPerPixel(), view[2]); });
  ["pointerup", "pointercancel"].forEach((name) => stage.addEventListener(name, () => stage.classList.remove("dragged")));

  const nextQuestion = () => {
    const questions = [...document.querySelectorAll(".question")], at = questions.indexOf(question());
    if (at + 1 < questions.length) questions[at + 1].focus(); else if (questions.length) { document.activeElement.blur(); say("Back at the caption."); }
  };
  const turnOver = (id) => { const box = byId(id); box.checked = !box.checked; draw(); };
  const follow1 = (rel) => () => follow(rel);
  Object.assign(keys, {
    j: follow1("next"), k: follow1("prev"), ArrowDown: follow1("next"), ArrowUp: follow1("prev"), ArrowRight: () => turn(1), ArrowLeft: () => turn(-1),
    a: () => act("accept", question()), r: () => act("reject", question()), u: () => act("undo", question()),
    s: () => wrong("wrong_span"), b: () => wrong("wrong_box"), d: () => wrong("wrong_side"),
    n: () => turn(1), p: () => turn(-1), z: zoom, v: nextQuestion, o: () => turnOver("show-others"),
    w: () => { chooser.selectedIndex = (chooser.selectedIndex + 1) % chooser.options.length; draw(); say("Window: " + chooser.selectedOptions[0].textContent); },
    Escape: () => { choose(entities.length); document.activeElement.blur(); },
  });
  for (let number = 1; number <= 9; number++) keys[number] = () => choose(number - 1);
}
