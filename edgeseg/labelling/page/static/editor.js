// The frame that is open: its mask, the tool in hand, and what every tool shares.

import { Cells } from "./cells.js";
import { Mask, UNLABELLED } from "./mask.js";
import { Paints, shownColors } from "./palette.js";
import { decodeRuns } from "./runs.js";
import { inkOf, makeTools } from "./tools.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const kept = (name, other) => {
  const value = localStorage.getItem(`edgeseg-${name}`);
  return value === null ? other : JSON.parse(value);
};
const keep = (name, value) => localStorage.setItem(`edgeseg-${name}`, JSON.stringify(value));

export class Editor {
  constructor({ commit, changed, say }) {
    this.send = commit;
    this.changed = changed;
    this.say = say;
    this.picture = $("picture");
    this.mask = new Mask($("mask"));
    this.cells = new Cells($("cells"), this.picture, say);
    this.view = new View($("stage"), $("sheet"), $("marks-group"), () => this.drawTip());
    this.tools = makeTools(this);
    this.tool = this.tools.brush;
    this.classId = 0;
    this.size = kept("size", 24);
    this.opacity = kept("opacity", 50);
    this.palette = kept("palette", "site");
    this.hasPatterns = kept("patterns", false);
    this.isProtected = false;
    this.isHidden = false;
    this.isReadOnly = true;
    this.frame = null;
    this.cursor = null; // place of the pointer or of the keyboard
  }

  setClasses(classes) {
    this.classes = classes;
    this.recolor();
  }

  recolor() {
    this.colors = shownColors(this.classes, this.palette);
    this.mask.paints = new Paints(this.colors, this.opacity / 100, this.hasPatterns);
    this.mask.repaint();
    this.changed();
  }

  load(view, bitmap) {
    const { width, height } = view;
    this.frame = view.frame;
    this.picture.width = width;
    this.picture.height = height;
    this.picture.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0, width, height);
    const isSameSize = this.view.width === width && this.view.height === height;
    const start = decodeRuns(view.start, width * height);
    this.mask.load(width, height, decodeRuns(view.runs, width * height), start);
    this.mask.undoSteps = view.undo;
    this.mask.redoSteps = view.redo;
    this.isReadOnly = view.holder !== null;
    this.cells.forget();
    if (!isSameSize || this.view.isFitted) this.view.load(width, height);
    this.cursor = null;
    this.showPath([]);
    this.tool.leave?.();
    this.tool.enter?.();
    this.changed();
  }

  choose(name) {
    if (this.tool.name === name) return;
    this.tool.cancel?.();
    this.tool.leave?.();
    this.tool = this.tools[name];
    if (this.frame) this.tool.enter?.();
    this.drawTip();
    this.changed();
  }

  chooseClass(id) {
    this.classId = id;
    if (["eraser", "restore", "hand"].includes(this.tool.name)) this.choose("brush");
    this.drawTip();
    this.changed();
  }

  setSize(size) {
    this.size = Math.round(Math.min(120, Math.max(1, size)));
    keep("size", this.size);
    this.tool.resized?.();
    this.drawTip();
    this.changed();
  }

  setOpacity(value) {
    this.opacity = Math.min(100, Math.max(0, value));
    keep("opacity", this.opacity);
    this.recolor();
  }

  setPalette(palette) {
    this.palette = palette;
    keep("palette", palette);
    this.recolor();
  }

  togglePatterns() {
    this.hasPatterns = !this.hasPatterns;
    keep("patterns", this.hasPatterns);
    this.recolor();
  }

  toggleHidden() {
    this.isHidden = !this.isHidden;
    $("mask").hidden = this.isHidden;
    this.changed();
  }

  ink(tool) {
    return inkOf(tool, this.mask, this.classId, this.isProtected);
  }

  commit(tool, isJoined = false) {
    const step = this.mask.commit(tool, isJoined);
    if (step) this.send(this.frame, step);
    this.changed();
    return step !== null;
  }

  async settled() {
    // Shapes that wait for the server are in the mask when this returns.
    await this.tools.scissors.pending;
  }

  replaceAll(ids, tool) {
    if (this.isReadOnly) return false;
    if (this.tool.isDown) {
      this.say("end the stroke first");
      return false;
    }
    const step = this.mask.replace(ids, tool);
    if (step) this.send(this.frame, step);
    this.changed();
    return step !== null;
  }

  undo() {
    if (this.isReadOnly || this.tool.isDown) return;
    if (this.tool.back?.()) return;
    const step = this.mask.undo();
    if (step) this.send(this.frame, step);
    this.changed();
  }

  redo() {
    if (this.isReadOnly || this.tool.isDown) return;
    const step = this.mask.redo();
    if (step) this.send(this.frame, step);
    this.changed();
  }

  empty() {
    return new Uint8Array(this.mask.width * this.mask.height).fill(UNLABELLED);
  }

  colorOfInk() {
    if (this.tool.name === "eraser" || this.classId === UNLABELLED) return "#ffffff";
    if (this.tool.name === "restore") return "#ffd43b";
    return this.colors?.[this.classId] ?? "#ffffff";
  }

  showPath(points, tip = null, corners = points) {
    const all = tip ? [...points, tip] : points;
    const line = all.length ? `M${all.map(([x, y]) => `${x} ${y}`).join("L")}` : "";
    $("path-under").setAttribute("d", line);
    $("path").setAttribute("d", line);
    const r = 4 / this.view.scale;
    const dot = ([x, y]) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
    $("hint").setAttribute("d", corners.map(dot).join(""));
    $("path").style.stroke = this.colorOfInk();
  }

  drawTip() {
    const place = this.cursor;
    const isRound = place && this.tool.isRound && !this.isReadOnly;
    for (const id of ["tip", "tip-under"]) {
      const circle = $(id);
      circle.style.display = isRound ? "" : "none";
      if (isRound) {
        circle.setAttribute("cx", place[0]);
        circle.setAttribute("cy", place[1]);
        circle.setAttribute("r", Math.max(0.5, this.size / 2));
      }
    }
    $("tip").style.stroke = this.colorOfInk();
    const hasCross = place && this.isByKeys;
    const a = 9 / this.view.scale;
    const b = 3 / this.view.scale;
    const cross = hasCross
      ? `M${place[0] - a} ${place[1]}h${a - b}M${place[0] + b} ${place[1]}h${a - b}` +
        `M${place[0]} ${place[1] - a}v${a - b}M${place[0]} ${place[1] + b}v${a - b}`
      : "";
    $("cross").setAttribute("d", cross);
    $("cross-under").setAttribute("d", cross);
  }
}
