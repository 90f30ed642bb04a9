// The page: frames come from the queue, go to the editor, and back to the server.

import { Editor } from "./editor.js";
import { fillHelp, keyOfClass, listenToKeys } from "./keys.js";
import { drawLight } from "./light.js";
import { UNLABELLED } from "./mask.js";
import { listenToPointers } from "./pointer.js";
import { Queue, SOURCE_NAMES } from "./queue.js";
import { decodeRuns } from "./runs.js";
import { Outbox, TAB, frameAddress, get, post, siteKnown } from "./server.js";
import { TOOLS } from "./tools.js";

const $ = (id) => document.getElementById(id);
const HEARTBEAT = 5000; // ms

const state = { person: "", opening: 0, view: null, doorTrouble: "", door: 0, notes: "", hasModel: true };
const outbox = new Outbox({ changed: showSaved, refused });
const editor = new Editor({
  commit: (frame, step) => {
    outbox.push(frame, { ...step, person: state.person });
    if (queue.row(frame)?.state !== "draft") queue.mark(frame, "draft");
  },
  changed: showEditor,
  say,
});
const queue = new Queue({ choose: (frame) => openFrame(frame), say });

function say(text, ms = 6000, way = null) {
  const toast = $("toast");
  toast.textContent = text;
  if (way) {
    const button = document.createElement("button");
    button.textContent = way.name;
    button.addEventListener("click", () => {
      toast.hidden = true;
      way.go();
    });
    toast.append(" ", button);
  }
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (toast.hidden = true), ms);
}

function showSaved() {
  const waiting = outbox.waiting.length;
  const trouble = outbox.trouble || state.doorTrouble;
  const isOut = Boolean(outbox.trouble);
  $("save").dataset.state = isOut ? "trouble" : waiting ? "saving" : trouble ? "waiting" : "saved";
  $("save-text").textContent = isOut
    ? `Not saved: ${waiting} step${waiting === 1 ? "" : "s"}`
    : waiting
      ? "Saving"
      : state.door
        ? `Saved, ${state.door} on the way to the site`
        : "Saved";
  $("save").title = isOut ? `${trouble}; it is tried again, keep this page open` : trouble;
}

function showEditor() {
  const { mask } = editor;
  for (const button of $("tools").children) {
    button.setAttribute("aria-pressed", button.dataset.tool === editor.tool.name);
  }
  for (const chip of $("classes").children) {
    const isChosen = Number(chip.dataset.id) === editor.classId;
    chip.setAttribute("aria-checked", isChosen);
    chip.tabIndex = isChosen ? 0 : -1;
    const id = Number(chip.dataset.id);
    if (id !== UNLABELLED) chip.firstChild.style.background = editor.colors[id];
  }
  $("size").value = editor.size;
  $("size-text").textContent = `${editor.size} px`;
  $("opacity").value = editor.opacity;
  $("opacity-text").textContent = `${editor.opacity} %`;
  $("palette").value = editor.palette;
  $("hide").setAttribute("aria-pressed", editor.isHidden);
  $("patterns").setAttribute("aria-pressed", editor.hasPatterns);
  $("protect").setAttribute("aria-pressed", editor.isProtected);
  $("undo").disabled = editor.isReadOnly || !mask.undoSteps?.length;
  $("redo").disabled = editor.isReadOnly || !mask.redoSteps?.length;
  const isOpen = editor.frame !== null && !editor.isReadOnly;
  for (const id of ["accept", "skip", "flag", "from-empty"]) $(id).disabled = !isOpen;
  $("from-prediction").disabled = !isOpen || !state.hasModel;
  $("from-before").disabled = !isOpen;
  $("unsure").disabled = !editor.frame || !state.hasModel;
  document.body.dataset.tool = editor.tool.name;
}

async function openFrame(frame, { force = false } = {}) {
  if (!frame) return showEmpty();
  const number = ++state.opening;
  editor.tool.cancel?.();
  document.body.classList.remove("shows-queue");
  $("show-queue").setAttribute("aria-expanded", "false");
  $("empty").hidden = true;
  editor.isReadOnly = true; // the frame that is left
  showEditor();
  queue.setCurrent(frame);
  $("stage").setAttribute("aria-busy", "true");
  try {
    await editor.settled();
    if (number !== state.opening) return;
    leave();
    await Promise.race([outbox.drained(), new Promise((resolve) => setTimeout(resolve, 4000))]);
    if (outbox.waiting.some((item) => item.frame === frame)) {
      say("this frame has steps that are not saved yet; it opens when the server answers");
      await outbox.drained();
    }
    const [view, bitmap] = await Promise.all([
      post(frameAddress(frame, "open"), { tab: TAB, person: state.person, force }),
      pictureOf(frame),
    ]);
    if (number !== state.opening) return;
    state.view = view;
    sessionStorage.setItem("frame", frame);
    if (view.origin === "prediction") state.hasModel = true;
    else if (view.origin === "empty" && view.revision === 0) state.hasModel = false;
    outbox.revisions.set(frame, view.revision);
    outbox.views.set(frame, view);
    editor.load(view, bitmap);
    showFrame(view);
    if (!$("entropy").hidden) {
      $("entropy").width = $("entropy").height = 1; // the light of the frame before
      await showUnsure();
    }
    preload();
  } catch (error) {
    if (number === state.opening) showEmpty(`This frame cannot be opened: ${error.message}.`);
  } finally {
    if (number === state.opening) $("stage").removeAttribute("aria-busy");
  }
}

async function pictureOf(frame) {
  const response = await fetch(frameAddress(frame, "image"));
  if (!response.ok) throw new Error((await response.json()).error);
  return createImageBitmap(await response.blob(), { imageOrientation: "none" });
}

function showFrame(view) {
  const row = queue.row(view.frame);
  const begun = {
    prediction: `begun from the prediction of ${view.model}`,
    label: "begun from the site's label",
    empty: "begun from nothing",
  }[view.origin];
  const facts = [`${view.width}×${view.height}`, begun];
  if (view.is_labelled) facts.unshift(`labelled, in ${view.split}`);
  if (view.mark) facts.unshift(view.mark);
  if (row?.reasons.length) facts.unshift(row.reasons.join(", "));
  facts.unshift(view.name);
  $("caption").textContent = facts.join(" · ");
  $("flag").setAttribute("aria-pressed", view.mark === "flagged");
  $("skip").textContent = view.mark === "skipped" ? "Take skip back" : "Skip";
  const notice = $("notice");
  notice.hidden = view.holder === null;
  if (view.holder !== null) {
    notice.textContent = `${view.holder || "Somebody"} draws on this frame in another tab. `;
    const take = document.createElement("button");
    take.textContent = "Take it over";
    take.addEventListener("click", () => openFrame(view.frame, { force: true }));
    notice.append(take);
  }
}

function showEmpty(reason = "") {
  // Instead of a frame: nothing can be drawn on one that is not there.
  editor.frame = null;
  editor.isReadOnly = true;
  showEditor();
  const box = $("empty");
  box.hidden = false;
  box.textContent = reason || (queue.rows.length
    ? "Every frame of this queue is done. Choose another queue, or stop with Ctrl-C in the terminal and run edgeseg train."
    : "This queue has no frames. Choose another one.");
  $("caption").textContent = "";
}

function preload() {
  const frame = queue.next();
  if (!frame) return;
  fetch(frameAddress(frame, "image"), { priority: "low" }).catch(() => {});
  if (state.hasModel) fetch(frameAddress(frame, "prediction"), { priority: "low" }).catch(() => {});
}

function refused(frame, error) {
  if (error.status === 409) {
    $("conflict-text").textContent =
      `${error.message}. Steps that you drew since then are not kept.`;
    editor.isReadOnly = true;
    showEditor();
    getSelection().removeAllRanges(); // of the stroke that the dialog interrupts
    const dialog = $("conflict");
    dialog.returnValue = "";
    dialog.showModal();
    dialog.onclose = () => {
      if (dialog.returnValue === "take") openFrame(frame, { force: true });
      else openFrame(queue.next(frame));
    };
    return;
  }
  say(error.message, 12000);
  if (frame === editor.frame) openFrame(frame);
}

function leave() {
  const frame = editor.frame;
  if (frame) {
    post("/api/leave", { tab: TAB, person: state.person, frame }, { keepalive: true }).catch(() => {});
  }
}

const actions = {
  async accept() {
    const frame = editor.frame;
    if (!frame || editor.isReadOnly || editor.tool.isDown) return;
    await editor.settled();
    if (editor.frame !== frame || editor.isReadOnly || editor.tool.isDown) return;
    if (editor.mask.ids.every((id) => id === UNLABELLED)) {
      return say("no pixel of this frame is labelled; label some, or skip it");
    }
    const split = $("split").value;
    editor.isReadOnly = true; // until the next frame is there
    const isSaved = await outbox.push(frame, { kind: "finish", split, person: state.person });
    if (!isSaved) return;
    queue.mark(frame, "waiting");
    await openFrame(queue.next(frame));
    setTimeout(beat, 400);
  },
  async skip() {
    const frame = editor.frame;
    if (!frame || editor.isReadOnly) return;
    if (state.view.mark === "skipped") return unskip(frame, "cleared");
    const opening = state.opening;
    const before = $("flag").getAttribute("aria-pressed") === "true" ? "flagged" : "cleared";
    if (!(await mark(frame, "skipped"))) return;
    queue.mark(frame, "skipped");
    say("skipped", 8000, { name: "Undo", go: () => unskip(frame, before) });
    if (state.opening === opening) openFrame(queue.next(frame));
  },
  async flag() {
    const frame = editor.frame;
    if (!frame || editor.isReadOnly) return;
    const isFlagged = $("flag").getAttribute("aria-pressed") === "true";
    if (!(await mark(frame, isFlagged ? "cleared" : "flagged"))) return;
    if (editor.frame === frame) {
      state.view.mark = isFlagged ? "" : "flagged";
      $("flag").setAttribute("aria-pressed", !isFlagged);
      $("skip").textContent = "Skip";
    }
    say(isFlagged ? "the flag is gone" : "flagged; the queue Flagged shows it", 2500);
  },
  go(step) {
    const frame = queue.beside(step);
    if (frame && frame !== queue.current) openFrame(frame);
  },
  async before() {
    const frame = editor.frame;
    const found = await get(frameAddress(frame, "before")).catch((error) => say(error.message));
    if (!found || editor.frame !== frame) return;
    if (!found.runs) return say("no frame before this one, of this camera and size, has a mask yet");
    editor.replaceAll(decodeRuns(found.runs, editor.mask.ids.length), "before");
  },
  async prediction() {
    const frame = editor.frame;
    const found = await get(frameAddress(frame, "prediction")).catch((error) => say(error.message));
    if (!found || editor.frame !== frame) return;
    if (!found.runs) return say("the site has no model yet; label some frames and run edgeseg train");
    editor.replaceAll(decodeRuns(found.runs, editor.mask.ids.length), "prediction");
  },
  nothing() {
    editor.replaceAll(editor.empty(), "empty");
  },
  protect() {
    editor.isProtected = !editor.isProtected;
    showEditor();
  },
  async unsure() {
    if (!$("entropy").hidden) {
      $("entropy").hidden = true;
      $("unsure").setAttribute("aria-pressed", false);
    } else {
      await showUnsure();
    }
  },
};

async function mark(frame, kind) {
  // Whether the server has noted it.
  try {
    await post(frameAddress(frame, "mark"), { mark: kind });
    return true;
  } catch (error) {
    say(`not ${kind}: ${error.message}`);
    return false;
  }
}

async function unskip(frame, kind) {
  if (!(await mark(frame, kind))) return;
  queue.mark(frame, "new");
  openFrame(frame);
}

async function showUnsure() {
  const canvas = $("entropy");
  const frame = editor.frame;
  try {
    const draw = await drawLight(canvas, frameAddress(frame, "entropy"));
    if (editor.frame !== frame) return;
    draw();
    canvas.hidden = false;
    $("unsure").setAttribute("aria-pressed", true);
  } catch (error) {
    if (editor.frame !== frame) return;
    canvas.hidden = true;
    $("unsure").setAttribute("aria-pressed", false);
    say(error.message);
  }
}

async function beat() {
  // Tells the server that this tab goes on, and learns how finished masks get on.
  const frame = editor.isReadOnly ? "" : (editor.frame ?? "");
  try {
    const answer = await post("/api/status", { tab: TAB, person: state.person, frame });
    const wasWaiting = state.door;
    state.door = answer.waiting.length;
    const notes = answer.notes.join("; ");
    if (notes && notes !== state.notes) say(notes, 12000);
    state.notes = notes;
    const isNewTrouble = answer.trouble && answer.trouble !== state.doorTrouble;
    state.doorTrouble = answer.trouble;
    const isSettled = queue.rows.some(
      (row) => row.state === "waiting" && !answer.waiting.includes(row.frame),
    );
    if (isSettled) await queue.refresh();
    if (!answer.ordering && !queue.isOrdered) {
      await queue.refresh(); // its order was made beside
      if (queue.isOrdered) say("the queue is in the order of what labels are worth now", 4000);
    }
    if (state.door || wasWaiting) setTimeout(beat, 700);
    if (isNewTrouble) say(`finished masks wait: ${answer.trouble}`, 8000);
  } catch (error) {
    if (error.status === 409 && !outbox.waiting.length) refused(frame, error);
  }
  showSaved();
}

async function showOrdering() {
  // While an order is made: how far it has come.
  while ($("frames").hasAttribute("aria-busy")) {
    const answer = await post("/api/status", { tab: TAB, person: state.person, frame: "" }).catch(() => null);
    const now = answer?.ordering;
    if (now) $("left").textContent = now.total ? `${now.title} ${now.done} of ${now.total}` : now.title;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function chooseQueue(source, isAnew = false) {
  $("source").value = source;
  // Labels of a queue that is meant for val go to val, unless the person says otherwise.
  $("split").value = source === "val" ? "val" : "auto";
  const loading = queue.load(source, isAnew);
  showOrdering();
  await loading;
}

function buildTools() {
  for (const [name, key, text, path] of TOOLS) {
    const button = document.createElement("button");
    button.dataset.tool = name;
    button.title = `${text} (${key})`;
    button.setAttribute("aria-label", `${text} (${key})`);
    button.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true"><path d="${path}"/></svg><kbd>${key}</kbd>`;
    button.addEventListener("click", () => editor.choose(name));
    $("tools").append(button);
  }
}

function buildClasses(classes) {
  const all = [...classes, { id: UNLABELLED, name: "unlabelled" }];
  for (const { id, name } of all) {
    const chip = document.createElement("button");
    chip.dataset.id = id;
    chip.setAttribute("role", "radio");
    const swatch = document.createElement("i");
    const label = document.createElement("span");
    label.textContent = name;
    const key = document.createElement("kbd");
    key.textContent = id === UNLABELLED ? "U" : keyOfClass(id);
    chip.append(swatch, label, key);
    chip.addEventListener("click", () => editor.chooseClass(id));
    $("classes").append(chip);
  }
  $("classes").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const chips = [...$("classes").children];
    const place = chips.findIndex((chip) => Number(chip.dataset.id) === editor.classId);
    const next = chips[(place + step + chips.length) % chips.length];
    editor.chooseClass(Number(next.dataset.id));
    next.focus();
  });
}

function connect() {
  const on = (id, action, event = "click") => $(id).addEventListener(event, action);
  on("undo", () => editor.undo());
  on("redo", () => editor.redo());
  for (const id of ["accept", "skip", "flag", "unsure", "protect"]) on(id, actions[id]);
  on("hide", () => editor.toggleHidden());
  on("patterns", () => editor.togglePatterns());
  on("from-before", actions.before);
  on("from-prediction", actions.prediction);
  on("from-empty", actions.nothing);
  on("size", () => editor.setSize(Number($("size").value)), "input");
  on("opacity", () => editor.setOpacity(Number($("opacity").value)), "input");
  on("palette", () => editor.setPalette($("palette").value), "change");
  on("help-button", () => $("help").showModal());
  on("reorder", () => chooseQueue(queue.source, true).catch((error) => say(error.message)));
  on("show-queue", () => {
    const isShown = document.body.classList.toggle("shows-queue");
    $("show-queue").setAttribute("aria-expanded", isShown);
  });
  on("more", () => {
    $("more").setAttribute("aria-expanded", document.body.classList.toggle("shows-more"));
  });
  on("source", async () => {
    await chooseQueue($("source").value).catch((error) => say(error.message));
    openFrame(queue.rows.find((row) => !queue.isDone(row))?.frame ?? null);
  }, "change");
  on("person", () => {
    state.person = $("person").value.trim();
    localStorage.setItem("edgeseg-person", state.person);
  }, "change");
  addEventListener("beforeunload", (event) => {
    if (outbox.waiting.length) event.preventDefault(); // the browser asks
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

async function begin() {
  const site = await get("/api/site");
  siteKnown.id = site.id;
  document.title = `${site.name}: edgeseg label`;
  $("site-name").textContent = site.name;
  state.person = localStorage.getItem("edgeseg-person") || site.person;
  $("person").value = state.person;
  buildTools();
  buildClasses(site.classes);
  for (const source of site.sources) {
    $("source").add(new Option(SOURCE_NAMES[source] ?? source, source));
  }
  editor.setClasses(site.classes);
  editor.classId = Math.min(1, site.classes.length - 1);
  fillHelp($("help"));
  connect();
  listenToPointers($("stage"), editor);
  listenToKeys({ editor, actions, help: $("help"), stage: $("stage") });
  showSaved();
  const wanted = new URLSearchParams(location.search);
  const source = site.sources.includes(wanted.get("queue")) ? wanted.get("queue") : "footage";
  await chooseQueue(source).catch((error) => say(error.message, 20000));
  const known = sessionStorage.getItem("frame"); // of this tab, before it was loaded again
  const inOrder = queue.rows.find((row) => !queue.isDone(row))?.frame;
  const first = wanted.get("frame") ?? (queue.row(known) ? known : inOrder);
  await openFrame(first ?? null);
  setInterval(beat, HEARTBEAT);
  document.body.dataset.ready = "yes";
}

// For tests and measurements: nothing else uses it.
globalThis.edgesegLabel = { editor, queue, outbox, state };

begin().catch((error) => {
  say(`the page cannot begin: ${error.message}`, 60000);
});
