// The page to browse: filters ask, the grid shows, a frame opens large. The address holds it all.

import { Filters } from "./browse_filters.js";
import { FrameView } from "./browse_frame.js";
import { Grid } from "./browse_grid.js";
import { TrainingView } from "./browse_training.js";
import { get } from "./server.js";

const $ = (id) => document.getElementById(id);
const LOOK_AGAIN = 1500; // ms, while labels are still being read

const state = { frame: "", place: null, view: "frames", training: {} };
let grid, filters, frameView, trainingView;

function say(words, ms = 6000) {
  const toast = $("toast");
  toast.textContent = words;
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (toast.hidden = true), ms);
}

function keepAddress(isStep = false) {
  const address = filters.write();
  if (state.view === "training") {
    address.set("view", "training");
    for (const [name, value] of Object.entries(state.training)) if (value) address.set(name, value);
  }
  if (state.frame) address.set("frame", state.frame);
  const query = address.toString();
  const url = query ? `/browse?${query}` : "/browse";
  if (url === location.pathname + location.search) return;
  if (isStep) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

async function ask({ keep = false } = {}) {
  try {
    await grid.ask(filters.write().toString(), { keep });
    filters.invalid("");
  } catch (error) {
    filters.invalid(error.message);
    say(error.message);
  }
}

function told(content) {
  const all = state.site.frames;
  const shown = content.total.toLocaleString("en");
  $("total").replaceChildren();
  const number = document.createElement("b");
  number.textContent = shown;
  const unread = content.labels_unread ? `, ${content.labels_unread.toLocaleString("en")} labels still to be read` : "";
  const rest = content.total === all ? ` frame${all === 1 ? "" : "s"}` : ` of ${all.toLocaleString("en")} frames`;
  $("total").append(number, rest + unread);
  filters.show(content.counts);
  filters.refocus();
  $("empty").hidden = content.total > 0;
  $("empty").textContent = all ? "No frame passes all filters." : "The site has no frames yet.";
  clearTimeout(told.timer);
  if (content.labels_unread) told.timer = setTimeout(() => ask({ keep: true }), LOOK_AGAIN);
}

async function openFrame(place) {
  const row = await grid.row(place);
  if (!row) return;
  const isFirst = !state.frame;
  state.frame = row.frame;
  state.place = place;
  keepAddress(isFirst);
  await frameView.open(row.frame, place, grid.total);
}

async function openById(frame, { isStep = true } = {}) {
  // A frame of an address or of a batch: it may not be among those that the filters pass.
  state.frame = frame;
  state.place = null;
  for (const [page, rows] of grid.pages) {
    const at = rows.findIndex((row) => row.frame === frame);
    if (at >= 0) state.place = page * 120 + at;
  }
  if (isStep) keepAddress(true);
  await frameView.open(frame, state.place, grid.total);
}

async function step(by) {
  if (state.place === null) return;
  const place = state.place + by;
  if (place < 0 || place >= grid.total) return;
  grid.choose(place);
  await openFrame(place);
}

function closed() {
  state.frame = "";
  document.title = `${state.site.name}: edgeseg browse`;
  keepAddress();
  (state.view === "frames" ? $("grid") : $("tab-training")).focus();
  if (state.place !== null) grid.choose(state.place);
}

async function choose(view) {
  state.view = view;
  document.body.dataset.view = view;
  for (const name of ["frames", "training"]) {
    const isShown = name === view;
    $(`${name}-view`).hidden = !isShown;
    $(`tab-${name}`).setAttribute("aria-selected", isShown);
    $(`tab-${name}`).tabIndex = isShown ? 0 : -1;
  }
  document.body.classList.remove("shows-filters");
  if (view === "training") {
    await trainingView.show(new URLSearchParams(state.training)).catch((error) => say(error.message));
  } else grid.draw();
}

function connect() {
  for (const view of ["frames", "training"]) {
    $(`tab-${view}`).addEventListener("click", async () => {
      if (state.view === view) return;
      state.view = view;
      keepAddress(true);
      await choose(view);
    });
  }
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = state.view === "frames" ? "training" : "frames";
    $(`tab-${other}`).focus();
    $(`tab-${other}`).click();
  });
  $("show-filters").addEventListener("click", () => {
    const isShown = document.body.classList.toggle("shows-filters");
    $("show-filters").setAttribute("aria-expanded", isShown);
    if (isShown) $("text").focus();
  });
  $("frames-view").addEventListener("pointerdown", () => hideFilters());
  $("show-labels").addEventListener("click", () => {
    const isShown = !grid.hasLabels;
    $("show-labels").setAttribute("aria-pressed", isShown);
    grid.showLabels(isShown);
  });
  addEventListener("popstate", () => readAddress());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  document.addEventListener("keydown", press);
}

function hideFilters() {
  document.body.classList.remove("shows-filters");
  $("show-filters").setAttribute("aria-expanded", false);
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (document.body.classList.contains("shows-filters")) return hideFilters();
    if (frameView.isOpen) return frameView.close();
  }
  const isTyping = event.target.closest("input:not([type=range]):not([type=checkbox]), select");
  if (isTyping) return;
  if (event.key === "/" && !frameView.isOpen && state.view === "frames") {
    event.preventDefault();
    return $("text").focus();
  }
  if (!frameView.isOpen) return;
  const isOnRange = event.target.type === "range";
  const keys = {
    ",": () => step(-1),
    ".": () => step(1),
    PageUp: () => step(-1),
    PageDown: () => step(1),
    ArrowLeft: () => !isOnRange && step(-1),
    ArrowRight: () => !isOnRange && step(1),
    l: () => frameView.lay("label"),
    m: () => frameView.lay("prediction"),
    d: () => frameView.lay("differences"),
    n: () => frameView.lay("none"),
    i: () => frameView.toggleUnsure(),
    g: () => frameView.view.fit(),
    "+": () => frameView.view.zoom(1.25),
    "=": () => frameView.view.zoom(1.25),
    "-": () => frameView.view.zoom(0.8),
  };
  if (keys[event.key] && !(isOnRange && event.key.startsWith("Arrow"))) {
    event.preventDefault();
    keys[event.key]();
  }
}

async function readAddress() {
  const address = new URLSearchParams(location.search);
  filters.read(address);
  state.training = Object.fromEntries(
    ["verb", "run", "step"].map((name) => [name, address.get(name)]).filter(([, value]) => value !== null),
  );
  const view = address.get("view") === "training" ? "training" : "frames";
  await ask();
  const frame = address.get("frame");
  if (!frame && frameView.isOpen) {
    state.frame = "";
    frameView.close();
  }
  const shown = choose(view);
  if (frame) await openById(frame, { isStep: false });
  if (view === "frames") await shown;
}

async function begin() {
  const site = await get("/api/browse/site");
  state.site = site;
  document.title = `${site.name}: edgeseg browse`;
  $("site-name").textContent = site.name;
  $("to-label").hidden = !site.can_label;
  grid = new Grid({ open: openFrame, say, told });
  filters = new Filters({
    changed: () => {
      keepAddress();
      ask();
    },
  });
  filters.build(site);
  frameView = new FrameView({ site, say, go: step, closed });
  trainingView = new TrainingView({
    site,
    say,
    openFrame: (frame) => openById(frame),
    changed: (training) => {
      state.training = training;
      keepAddress();
    },
  });
  connect();
  globalThis.edgesegBrowse = { grid, filters, frameView, trainingView, state }; // for tests
  await readAddress();
  if (!state.frame && state.view === "frames") $("grid").focus({ preventScroll: true });
  document.body.dataset.ready = "yes";
}

begin().catch((error) => {
  say(`the page cannot begin: ${error.message}`, 60000);
});
