// The mask: class ids, and the canvas that shows them. Drawing repaints no more than it touched.

import { decodeRuns, encodeRuns } from "./runs.js";

export const UNLABELLED = 255;
export const MOST_STEPS = 400; // that can be undone, as on the server

export class Mask {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.paints = null; // Paints of palette.js
  }

  load(width, height, ids, start) {
    this.width = width;
    this.height = height;
    this.ids = ids;
    this.start = start; // what the draft began with
    this.before = null; // ids before the stroke that is being drawn
    this.dirty = null; // box of the stroke, as left, top, right, bottom
    this.undoSteps = [];
    this.redoSteps = [];
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.repaint();
  }

  repaint() {
    if (this.ids) this.paint(0, 0, this.width, this.height);
  }

  paint(left, top, right, bottom) {
    // Pixels beside the box may gain or lose an outline.
    left = Math.max(0, left - 1);
    top = Math.max(0, top - 1);
    right = Math.min(this.width, right + 1);
    bottom = Math.min(this.height, bottom + 1);
    if (left >= right || top >= bottom) return;
    const { ids, pixels, width, height } = this;
    const { fills, seconds, edges, tiles } = this.paints;
    for (let y = top; y < bottom; y++) {
      const hasBelow = y + 1 < height;
      const row = (y & 7) << 3;
      for (let x = left, i = y * width + left; x < right; x++, i++) {
        const id = ids[i];
        const isEdge =
          (x + 1 < width && ids[i + 1] !== id) || (hasBelow && ids[i + width] !== id);
        if (isEdge) pixels[i] = edges[id];
        else pixels[i] = tiles[(id << 6) | row | (x & 7)] ? seconds[id] : fills[id];
      }
    }
    this.context.putImageData(this.image, 0, 0, left, top, right - left, bottom - top);
  }

  begin() {
    this.before = this.ids.slice();
    this.dirty = [this.width, this.height, 0, 0];
  }

  touch(left, top, right, bottom) {
    // Note that pixels of a box changed, and show them.
    const dirty = this.dirty;
    dirty[0] = Math.min(dirty[0], left);
    dirty[1] = Math.min(dirty[1], top);
    dirty[2] = Math.max(dirty[2], right);
    dirty[3] = Math.max(dirty[3], bottom);
    this.paint(left, top, right, bottom);
  }

  cancel() {
    if (!this.before) return;
    this.ids = this.before;
    this.before = null;
    this.repaint();
  }

  commit(tool, isJoined = false) {
    // End a stroke, or a part of it; returns its step, or null if no pixel changed.
    if (!this.before) return null;
    const box = this.#changedBox();
    const before = this.before;
    this.before = null;
    if (!box) return null;
    const step = { box, tool, joined: isJoined, before: cut(before, this.width, box), after: cut(this.ids, this.width, box) };
    this.undoSteps.push(step);
    this.#forgetOldest();
    this.redoSteps = [];
    return { kind: "edit", tool, box, joined: isJoined, runs: encodeRuns(step.after) };
  }

  replace(ids, tool) {
    this.begin();
    this.ids = ids.slice();
    this.touch(0, 0, this.width, this.height);
    return this.commit(tool);
  }

  undo() {
    if (!this.undoSteps.length) return null;
    let step;
    do {
      step = this.undoSteps.pop();
      this.#put(step, "before");
      this.redoSteps.push(step);
    } while (step.joined && this.undoSteps.length);
    return { kind: "undo" };
  }

  redo() {
    if (!this.redoSteps.length) return null;
    do {
      const step = this.redoSteps.pop();
      this.#put(step, "after");
      this.undoSteps.push(step);
    } while (this.redoSteps.at(-1)?.joined);
    return { kind: "redo" };
  }

  #forgetOldest() {
    // A long stroke is forgotten as a whole or not at all.
    let first = this.undoSteps.length - MOST_STEPS;
    while (first > 0 && this.undoSteps[first].joined) first--;
    if (first > 0) this.undoSteps.splice(0, first);
  }

  #put(step, which) {
    const [x, y, width, height] = step.box;
    // Steps that came from the server are still runs.
    if (typeof step[which] === "string") step[which] = decodeRuns(step[which], width * height);
    const ids = step[which];
    for (let row = 0; row < height; row++) {
      this.ids.set(ids.subarray(row * width, (row + 1) * width), (y + row) * this.width + x);
    }
    this.paint(x, y, x + width, y + height);
  }

  #changedBox() {
    const [left, top, right, bottom] = this.dirty;
    let [x0, y0, x1, y1] = [this.width, this.height, -1, -1];
    for (let y = top; y < bottom; y++) {
      for (let x = left, i = y * this.width + left; x < right; x++, i++) {
        if (this.ids[i] !== this.before[i]) {
          if (x < x0) x0 = x;
          if (x > x1) x1 = x;
          if (y < y0) y0 = y;
          y1 = y;
        }
      }
    }
    return x1 < 0 ? null : [x0, y0, x1 - x0 + 1, y1 - y0 + 1];
  }
}

function cut(ids, stride, [x, y, width, height]) {
  const part = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const begin = (y + row) * stride + x;
    part.set(ids.subarray(begin, begin + width), row * width);
  }
  return part;
}
