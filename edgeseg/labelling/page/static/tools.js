// The tools. Each gets places in pixels of the frame: `down`, `move` and `up` of a pointer or of the
// keyboard's cursor, `hover` between strokes. What they draw goes through `editor`.

import { UNLABELLED } from "./mask.js";
import { frameAddress, post } from "./server.js";
import { brushLine, fillPolygon, fillRegion } from "./shapes.js";

const PART = 1000; // ms after which a stroke is kept, though it goes on
const PATIENCE = 10000; // ms to wait for an edge; then the side is straight
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Stroke {
  // Draws while it is held down: brush, eraser, restore.
  constructor(editor, name) {
    this.editor = editor;
    this.name = name;
    this.isDown = false;
  }

  get isRound() {
    return true;
  }

  down(x, y) {
    this.editor.mask.begin();
    this.put = this.editor.ink(this.name);
    this.isDown = true;
    this.isJoined = false;
    this.since = performance.now();
    [this.x, this.y] = [x, y];
    this.#draw(x, y);
  }

  move(x, y) {
    if (!this.isDown) return;
    this.#draw(x, y);
    if (performance.now() - this.since > PART) {
      if (this.editor.commit(this.name, this.isJoined)) this.isJoined = true;
      this.editor.mask.begin();
      this.put = this.editor.ink(this.name);
      this.since = performance.now();
    }
  }

  up() {
    if (!this.isDown) return;
    this.isDown = false;
    this.editor.commit(this.name, this.isJoined);
  }

  cancel() {
    const wasDown = this.isDown;
    if (wasDown) this.editor.mask.cancel();
    this.isDown = false;
    if (wasDown && this.isJoined) this.editor.undo(); // the parts that were kept
    return wasDown;
  }

  #draw(x, y) {
    const radius = this.editor.size / 2;
    this.editor.mask.touch(...brushLine(this.editor.mask, this.x, this.y, x, y, radius, this.put));
    [this.x, this.y] = [x, y];
  }
}

class Fill {
  constructor(editor) {
    this.editor = editor;
    this.name = "fill";
  }

  down(x, y) {
    const { mask } = this.editor;
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= mask.width || row >= mask.height) return;
    mask.begin();
    mask.touch(...fillRegion(mask, column, row, this.editor.ink("fill")));
    this.editor.commit("fill");
  }
}

class Superpixels {
  // Marks whole cells of like pixels; the size of the brush is that of the cells.
  constructor(editor) {
    this.editor = editor;
    this.name = "superpixels";
    this.isDown = false;
  }

  enter() {
    this.editor.cells.show(this.editor.size);
  }

  leave() {
    this.editor.cells.hide();
  }

  resized() {
    this.editor.cells.show(this.editor.size);
  }

  down(x, y) {
    if (!this.editor.cells.ids) return;
    this.editor.mask.begin();
    this.put = this.editor.ink(this.name);
    this.isDown = true;
    this.last = -1;
    [this.x, this.y] = [x, y];
    this.move(x, y);
  }

  move(x, y) {
    if (!this.isDown) return;
    // Every cell on the way, also where the pointer was fast.
    const steps = Math.max(1, Math.ceil(Math.hypot(x - this.x, y - this.y)));
    for (let step = 1; step <= steps; step++) {
      this.#mark(this.x + ((x - this.x) * step) / steps, this.y + ((y - this.y) * step) / steps);
    }
    [this.x, this.y] = [x, y];
  }

  up() {
    if (!this.isDown) return;
    this.isDown = false;
    this.editor.commit(this.name);
  }

  cancel() {
    if (this.isDown) this.editor.mask.cancel();
    const wasDown = this.isDown;
    this.isDown = false;
    return wasDown;
  }

  #mark(x, y) {
    const { cells, mask } = this.editor;
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= mask.width || row >= mask.height) return;
    const cell = cells.ids[row * mask.width + column];
    if (cell === this.last) return;
    this.last = cell;
    const members = cells.members(cell);
    for (const i of members.pixels) this.put(i);
    mask.touch(...members.box);
  }
}

class Polygon {
  // Corners one by one; Enter, a double click or the first corner closes.
  constructor(editor, name = "polygon") {
    this.editor = editor;
    this.name = name;
    this.points = [];
  }

  enter() {
    this.points = [];
  }

  leave() {
    this.cancel();
  }

  down(x, y) {
    const [first] = this.points;
    const near = 8 / this.editor.view.scale;
    if (this.points.length > 2 && Math.hypot(first[0] - x, first[1] - y) < near) return this.close();
    const last = this.points.at(-1);
    if (last && Math.hypot(last[0] - x, last[1] - y) < 0.5) return this.close(); // double click
    this.points.push([x, y]);
    this.editor.showPath(this.points, [x, y]);
  }

  hover(x, y) {
    if (this.points.length) this.editor.showPath(this.points, [x, y]);
  }

  move(x, y) {
    this.hover(x, y);
  }

  back() {
    // Take the last corner away; true if there was one.
    if (!this.points.length) return false;
    this.points.pop();
    this.editor.showPath(this.points);
    return true;
  }

  close() {
    if (this.points.length < 3) return false;
    this.fill(this.points);
    this.points = [];
    this.editor.showPath([]);
    return true;
  }

  fill(points) {
    const { mask } = this.editor;
    mask.begin();
    mask.touch(...fillPolygon(mask, points, this.editor.ink(this.name)));
    this.editor.commit(this.name);
  }

  cancel() {
    const had = this.points.length > 0;
    this.points = [];
    this.editor.showPath([]);
    return had;
  }
}

class Scissors extends Polygon {
  // A polygon whose sides follow the edges of the picture, found by the server.
  constructor(editor) {
    super(editor, "scissors");
    this.sides = []; // pixels of each finished side
    this.ahead = []; // from the last corner to the pointer
    this.pending = null; // until closed shapes are in the mask
  }

  enter() {
    super.enter();
    this.sides = [];
    this.wanted = null;
  }

  down(x, y) {
    const corner = this.#inside(x, y);
    const first = this.points[0];
    const near = 8 / this.editor.view.scale;
    const last = this.points.at(-1);
    if (last && last[0] === corner[0] && last[1] === corner[1]) return this.close();
    if (this.points.length > 1 && Math.hypot(first[0] - x, first[1] - y) < near) return this.close();
    this.points.push(corner);
    this.ahead = [];
    if (last) this.#follow(last, corner, this.sides);
    this.#show();
  }

  async hover(x, y) {
    if (!this.points.length) return;
    this.wanted = this.#inside(x, y);
    if (this.isAsking) return; // the newest place is asked for when the answer is there
    this.isAsking = true;
    while (this.wanted && this.points.length) {
      const to = this.wanted;
      this.wanted = null;
      const from = this.points.at(-1);
      const way = await this.#ask(from, to);
      if (way && this.points.at(-1) === from) {
        this.ahead = way;
        this.#show();
      }
    }
    this.isAsking = false;
  }

  back() {
    const had = super.back();
    this.sides.pop();
    this.ahead = [];
    if (had) this.#show();
    return had;
  }

  close() {
    if (this.points.length < 2) return false;
    const sides = [...this.sides];
    this.#follow(this.points.at(-1), this.points[0], sides);
    this.cancel();
    const landed = Promise.all([this.pending, this.#land(sides)])
      .catch((error) => this.editor.say(`the shape was not drawn: ${error.message}`))
      .then(() => {
        if (this.pending === landed) this.pending = null;
      });
    this.pending = landed;
    return true;
  }

  async #land(sides) {
    // Fill a closed shape with the class of now, once its sides are known and no stroke is drawn.
    const { frame, mask, classId, isProtected } = this.editor;
    await Promise.all(sides.map((side) => side.known));
    while (mask.before && this.editor.frame === frame) await pause(20);
    if (this.editor.frame !== frame) return;
    // The middles of the pixels on the way are the corners of the shape. These pixels belong to it on
    // all sides; by their middles alone, only those at the left and at the top would.
    const way = sides.flatMap((side) => side.points);
    if (way.length < 3) return;
    mask.begin();
    const put = inkOf(this.name, mask, classId, isProtected);
    for (const [x, y] of way) put(y * mask.width + x);
    mask.touch(...fillPolygon(mask, way.map(([x, y]) => [x + 0.5, y + 0.5]), put));
    this.editor.commit(this.name);
  }

  cancel() {
    this.sides = [];
    this.ahead = [];
    this.wanted = null;
    return super.cancel();
  }

  #follow(from, to, sides) {
    // A side is straight until the server has found its edge.
    const side = { points: [from, to] };
    sides.push(side);
    side.known = this.#ask(from, to).then((way) => {
      if (way) side.points = way;
      if (this.sides.includes(side)) this.#show();
    });
  }

  #show() {
    const way = [...this.sides.flatMap((side) => side.points), ...this.ahead];
    const middles = way.map(([x, y]) => [x + 0.5, y + 0.5]);
    const corners = this.points.map(([x, y]) => [x + 0.5, y + 0.5]);
    this.editor.showPath(middles.length ? middles : corners, null, corners);
  }

  #inside(x, y) {
    const { mask } = this.editor;
    return [
      Math.min(mask.width - 1, Math.max(0, Math.floor(x))),
      Math.min(mask.height - 1, Math.max(0, Math.floor(y))),
    ];
  }

  async #ask(start, end) {
    try {
      const signal = AbortSignal.timeout(PATIENCE);
      const address = frameAddress(this.editor.frame, "contour");
      return (await post(address, { start, end }, { signal })).points;
    } catch (error) {
      this.editor.say(error.message);
      return null;
    }
  }
}

class Hand {
  constructor() {
    this.name = "hand";
  }
}

export const TOOLS = [
  ["brush", "B", "Brush", "M4 16c3 1 5 0 5-2s-2-3-3-2-1 3-2 4zM9 12l7-8 1 1-7 8"],
  ["eraser", "E", "Eraser: makes pixels unlabelled", "M7 16l-4-4 8-8 6 6-6 6zM6 9l6 6M7 16h9"],
  ["restore", "R", "Restore what the frame began with", "M4 4v5h5M4 9a6.5 6.5 0 1 1 1 6"],
  ["fill", "F", "Fill a region of one class", "M3 11l7-7 6 6-7 7zM8 2l2 2M17 13c2 3-2 3 0 0"],
  ["polygon", "P", "Polygon: Enter closes, Backspace takes a corner back", "M4 7l6-4 7 5-3 8H6z"],
  ["superpixels", "S", "Superpixels: like pixels at once", "M3 3h6v5H3zM9 3h8v7H9zM3 8h6v9H3zM9 10h8v7H9z"],
  ["scissors", "C", "Scissors: follow the edges", "M5 5l11 9M5 14l11-9M5 7a2 2 0 1 1 .1 0M5 16a2 2 0 1 1 .1 0"],
  ["hand", "V", "Hand: move the frame", "M6 11V6M9 10V4M12 10V5M15 11V7M6 11l-2-2M6 11c0 5 2 6 5 6s4-2 4-6"],
];

export function makeTools(editor) {
  return {
    brush: new Stroke(editor, "brush"),
    eraser: new Stroke(editor, "eraser"),
    restore: new Stroke(editor, "restore"),
    fill: new Fill(editor),
    polygon: new Polygon(editor),
    superpixels: new Superpixels(editor),
    scissors: new Scissors(editor),
    hand: new Hand(),
  };
}

export function inkOf(tool, mask, id, isProtected) {
  // What a tool does to a pixel: `put(i)` of the shapes.
  const { ids, start } = mask;
  if (tool === "eraser") return (i) => (ids[i] = UNLABELLED);
  if (tool === "restore") return (i) => (ids[i] = start[i]);
  if (isProtected && id !== UNLABELLED) return (i) => ids[i] === UNLABELLED && (ids[i] = id);
  return (i) => (ids[i] = id);
}
