// One frame, large: its picture, what lies over it, and what is known about it.

import { text } from "./browse_grid.js";
import { drawLight } from "./light.js";
import { Mask, UNLABELLED } from "./mask.js";
import { Paints, shownColors } from "./palette.js";
import { decodeRuns } from "./runs.js";
import { frameAddress, get } from "./server.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const OVERLAYS = {
  label: "Label",
  prediction: "Model",
  differences: "Differences",
  none: "Nothing",
};
const BEGAN = { prediction: "the prediction of", label: "the label before", empty: "nothing" };

export class FrameView {
  constructor({ site, say, go, closed }) {
    this.site = site;
    this.say = say;
    this.go = go;
    this.closed = closed;
    this.number = 0;
    this.row = null;
    this.wanted = "label";
    this.opacity = 55;
    this.isUnsure = false;
    this.mask = new Mask($("mask"));
    this.view = new View($("stage"), $("sheet"), { setAttribute() {} }, () => {});
    for (const [name, words] of Object.entries(OVERLAYS)) {
      const button = text("button", words);
      button.setAttribute("role", "radio");
      button.dataset.overlay = name;
      button.addEventListener("click", () => this.lay(name));
      $("overlays").append(button);
    }
    $("opacity").value = this.opacity;
    $("opacity").addEventListener("input", () => {
      this.opacity = Number($("opacity").value);
      this.#paint();
    });
    $("unsure").addEventListener("click", () => this.toggleUnsure());
    $("close").addEventListener("click", () => this.close());
    $("before").addEventListener("click", () => this.go(-1));
    $("after").addEventListener("click", () => this.go(1));
    listenToMoves($("stage"), this.view);
  }

  get isOpen() {
    return !$("frame").hidden;
  }

  async open(frame, place, total) {
    const number = ++this.number;
    this.ids = { label: null, prediction: null };
    this.model = "";
    $("frame").hidden = false;
    $("stage").setAttribute("aria-busy", "true");
    $("place").textContent = place === null ? "" : `${(place + 1).toLocaleString("en")} of ${total.toLocaleString("en")}`;
    $("before").disabled = place === null || place === 0;
    $("after").disabled = place === null || place + 1 >= total;
    try {
      const row = await get(`/api/browse/frames/${encodeURIComponent(frame)}`);
      if (number !== this.number) return;
      this.row = row;
      this.#tell();
      const [picture, label] = await Promise.all([
        pictureOf(frame),
        row.is_labelled ? get(frameAddress(frame, "label")) : { runs: "" },
      ]);
      if (number !== this.number) return;
      if (label.runs) this.ids.label = decodeRuns(label.runs, row.width * row.height);
      const canvas = $("picture");
      canvas.width = picture.width;
      canvas.height = picture.height;
      canvas.getContext("2d").drawImage(picture, 0, 0);
      this.mask.paints = this.#paints(false);
      this.mask.load(row.width, row.height, new Uint8Array(row.width * row.height).fill(UNLABELLED), null);
      this.view.load(row.width, row.height);
      $("light").hidden = true;
      if (this.isUnsure) this.#light();
      await this.lay(this.wanted, { isNew: true });
    } catch (error) {
      if (number !== this.number) return;
      this.say(error.message);
      for (const id of ["picture", "mask", "light"]) $(id).width = 1;
      $("caption").textContent = error.message;
    } finally {
      if (number === this.number) $("stage").removeAttribute("aria-busy");
    }
  }

  close() {
    this.number++;
    $("frame").hidden = true;
    this.row = null;
    this.closed();
  }

  async lay(name, { isNew = false } = {}) {
    // What lies over the frame; without a label that is the prediction.
    const number = this.number;
    this.wanted = name;
    let shown = name;
    if (name === "label" && !this.ids.label && isNew) shown = this.row.entropy !== null ? "prediction" : "label";
    if (shown === "prediction" || shown === "differences") await this.#predict(number);
    if (number !== this.number) return;
    this.shown = shown;
    for (const button of $("overlays").children) {
      button.setAttribute("aria-checked", button.dataset.overlay === shown);
    }
    this.#paint();
    this.#shares();
  }

  async toggleUnsure() {
    this.isUnsure = !this.isUnsure;
    $("unsure").setAttribute("aria-pressed", this.isUnsure);
    $("light").hidden = true;
    if (this.isUnsure && this.row) await this.#light();
  }

  async #light() {
    const number = this.number;
    try {
      const draw = await drawLight($("light"), frameAddress(this.row.frame, "entropy"));
      if (number !== this.number || !this.isUnsure) return;
      draw();
      $("light").hidden = false;
    } catch (error) {
      if (number !== this.number) return;
      this.isUnsure = false;
      $("unsure").setAttribute("aria-pressed", false);
      this.say(error.message);
    }
  }

  async #predict(number) {
    if (this.ids.prediction) return;
    $("stage").setAttribute("aria-busy", "true");
    try {
      const found = await get(frameAddress(this.row.frame, "prediction"));
      if (number !== this.number) return;
      if (!found.runs) {
        this.say("the site has no model yet; train one with edgeseg train");
        return;
      }
      this.ids.prediction = decodeRuns(found.runs, this.row.width * this.row.height);
      this.model = found.model;
    } catch (error) {
      if (number === this.number) this.say(error.message);
    } finally {
      if (number === this.number) $("stage").removeAttribute("aria-busy");
    }
  }

  #paints(isDifference) {
    const colors = shownColors(this.site.classes, "site");
    const paints = new Paints(colors, this.opacity / 100, false);
    if (isDifference) paints.seconds[UNLABELLED] = 0; // what is the same stays clear
    return paints;
  }

  #paint() {
    $("opacity-text").textContent = `${this.opacity} %`;
    const { label, prediction } = this.ids ?? {};
    const ids = { label, prediction, differences: label && prediction && differing(label, prediction) }[this.shown];
    $("mask").hidden = !ids;
    if (ids) {
      this.mask.paints = this.#paints(this.shown === "differences");
      this.mask.ids = ids;
      this.mask.repaint();
    }
    $("caption").textContent = this.#caption(Boolean(ids));
  }

  #caption(hasMask) {
    const { label, prediction } = this.ids ?? {};
    if (this.shown === "label") return hasMask ? "the label" : "no label";
    if (this.shown === "prediction") return hasMask ? `the prediction of ${this.model}` : "no prediction";
    if (this.shown !== "differences") return "";
    if (!label) return "no label to compare with";
    if (!prediction) return "no prediction to compare with";
    return `where the prediction of ${this.model} is another class than the label, in the color of the prediction`;
  }

  #tell() {
    const { row } = this;
    $("frame-name").textContent = row.name;
    document.title = `${row.name}: edgeseg browse`;
    const link = $("label-this");
    link.hidden = !this.site.can_label;
    link.href = `/?frame=${encodeURIComponent(row.frame)}`;
    link.textContent = row.is_labelled ? "Correct its label" : "Label this frame";
    const facts = [
      ["Camera", row.camera],
      row.time !== null && ["Taken", utc(row.time)],
      ["Source", row.source],
      ["Origin", { footage: "footage", labels: "added with its label", log: "a device's frame log" }[row.origin]],
      ["Split", row.split === "withheld" ? "unlabelled, withheld: too near val or gate" : row.split],
      row.marks.length && ["Marks", row.marks.join(", ")],
      row.entropy !== null && ["Entropy", `${row.entropy.toFixed(3)}, by ${this.site.model}`],
      row.contradiction !== null && ["Mirror", `${(100 * row.contradiction).toFixed(1)} % another class in the mirror`],
      row.device && ["Device", `${row.device.device}, score ${row.device.score.toFixed(3)} by ${row.device.model}; kept for ${row.device.reason}`],
      ["Size", `${row.width} × ${row.height}`],
      ["Id", row.frame],
    ].filter(Boolean);
    const list = document.createElement("dl");
    for (const [name, value] of facts) list.append(text("dt", name), text("dd", value));
    const table = document.createElement("table");
    table.id = "shares";
    table.hidden = true;
    const told = document.createElement("ol");
    told.append(...row.story.map(storyItem));
    if (!row.story.length) {
      const whence = row.is_labelled ? "Its label did not come from the page of edgeseg label." : "Nobody has labelled it yet.";
      told.append(text("li", whence));
    }
    $("story").replaceChildren(table, text("h2", "Frame"), list, text("h2", "Labels"), told);
  }

  #shares() {
    // How much of the frame each class has, in the label and in the prediction.
    const table = $("shares");
    const { label, prediction } = this.ids;
    if (!table || (!label && !prediction)) return;
    const shares = [label, prediction].map((ids) => ids && sharesOf(ids));
    const head = document.createElement("tr");
    head.append(text("th", ""), ...["label", "model"].map((name) => text("th", name)));
    const rows = [...this.site.classes, { id: UNLABELLED, name: "unlabelled" }]
      .filter(({ id }) => shares.some((each) => each?.[id]))
      .map(({ id, name, color }) => {
        const row = document.createElement("tr");
        const called = text("td", name);
        if (color) {
          const square = document.createElement("i");
          square.style.background = color;
          called.prepend(square);
        }
        row.append(called, ...shares.map((each) => text("td", each ? percent(each[id]) : "")));
        return row;
      });
    if (label && prediction) {
      const row = document.createElement("tr");
      row.append(text("td", "same class"), text("td", ""), text("td", percent(agreement(label, prediction))));
      rows.push(row);
    }
    table.replaceChildren(head, ...rows);
    table.hidden = false;
  }
}

function utc(seconds) {
  // As names of frames tell it: "2026-03-04 12:05:33 UTC".
  return `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function storyItem(entry) {
  const item = document.createElement("li");
  const when = utc(entry.time);
  item.append(text("div", `${entry.person || "somebody"}, ${when}`));
  const began = `from ${BEGAN[entry.origin] ?? entry.origin}${entry.model ? ` ${entry.model}` : ""}`;
  const did = [began];
  if (entry.changed !== null) did.push(`${percent(entry.changed)} of the pixels changed`);
  if (entry.steps !== null) did.push(`${entry.steps} step${entry.steps === 1 ? "" : "s"}`);
  if (entry.seconds !== null) did.push(`${Math.round(entry.seconds)} s`);
  did.push(`asked for ${entry.split}`);
  item.append(text("span", did.join(" · ")));
  return item;
}

async function pictureOf(frame) {
  const response = await fetch(frameAddress(frame, "image"));
  if (!response.ok) throw new Error((await response.json()).error);
  return createImageBitmap(await response.blob(), { imageOrientation: "none" });
}

function differing(label, prediction) {
  const ids = new Uint8Array(label.length).fill(UNLABELLED);
  for (let i = 0; i < label.length; i++) {
    if (label[i] !== UNLABELLED && label[i] !== prediction[i]) ids[i] = prediction[i];
  }
  return ids;
}

function sharesOf(ids) {
  const counts = new Array(256).fill(0);
  for (const id of ids) counts[id]++;
  return counts.map((count) => count / ids.length);
}

function agreement(label, prediction) {
  let [same, counted] = [0, 0];
  for (let i = 0; i < label.length; i++) {
    if (label[i] === UNLABELLED) continue;
    counted++;
    if (label[i] === prediction[i]) same++;
  }
  return counted ? same / counted : 0;
}

function percent(share) {
  return share && share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`;
}

function listenToMoves(stage, view) {
  // Wheel and pinch zoom, dragging moves, a double click shows all.
  const down = new Map();
  let apart = 0;
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      view.zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
    },
    { passive: false },
  );
  stage.addEventListener("dblclick", () => view.fit());
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    down.set(event.pointerId, [event.clientX, event.clientY]);
    apart = 0;
  });
  stage.addEventListener("pointermove", (event) => {
    const last = down.get(event.pointerId);
    if (!last) return;
    down.set(event.pointerId, [event.clientX, event.clientY]);
    if (down.size === 1) return view.pan(event.clientX - last[0], event.clientY - last[1]);
    const [[x0, y0], [x1, y1]] = [...down.values()];
    const now = Math.hypot(x0 - x1, y0 - y1);
    if (apart) view.zoom(now / apart, (x0 + x1) / 2, (y0 + y1) / 2);
    apart = now;
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => down.delete(event.pointerId));
  }
}
