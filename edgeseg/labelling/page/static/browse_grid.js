// The grid of frames: only what is in sight exists, and rows are fetched as they come into sight.

import { frameAddress, get } from "./server.js";

const $ = (id) => document.getElementById(id);
const PAGE = 120; // rows that are fetched at once
const MOST_PAGES = 30; // kept
const GAP = 6;
const TEXT = 66; // pixels below a picture
const AHEAD = 1; // lines drawn beyond what is in sight
const REST = 90; // ms that scrolling must rest before pictures are asked for

export class Grid {
  constructor({ open, say, told }) {
    this.open = open;
    this.say = say;
    this.told = told; // is given every first page
    this.total = 0;
    this.current = 0;
    this.asked = 0;
    this.hasLabels = false;
    this.aspect = 16 / 9;
    this.pages = new Map();
    this.cells = new Map(); // by place
    this.question = "";
    const grid = $("grid");
    grid.addEventListener("scroll", () => this.draw(), { passive: true });
    grid.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#layOut()).observe(grid);
  }

  async ask(question, { keep = false } = {}) {
    // Show the frames of a question; with `keep` from where the grid stands.
    const number = ++this.asked;
    const content = await get(`/api/browse/frames?${join(question, `start=0&number=${PAGE}`)}`);
    if (number !== this.asked) return null;
    this.question = question;
    this.pages = new Map([[0, content.frames]]);
    const [first] = content.frames;
    if (first) this.aspect = Math.min(2, Math.max(1, first.width / first.height));
    this.total = content.total;
    if (!keep) {
      this.current = 0;
      $("grid").scrollTop = 0;
    }
    this.#clear();
    this.#layOut();
    this.told(content);
    return content;
  }

  async row(place) {
    // The row of a place; null beyond the ends.
    if (place < 0 || place >= this.total) return null;
    const page = Math.floor(place / PAGE);
    if (!this.pages.has(page)) await this.#fetch(page);
    return this.pages.get(page)?.[place % PAGE] ?? null;
  }

  known(place) {
    return this.pages.get(Math.floor(place / PAGE))?.[place % PAGE] ?? null;
  }

  choose(place, { scroll = true } = {}) {
    if (!this.total) return;
    this.current = Math.max(0, Math.min(this.total - 1, place));
    if (scroll) {
      const grid = $("grid");
      const top = Math.floor(this.current / this.columns) * this.lineHeight;
      if (top < grid.scrollTop) grid.scrollTop = top;
      const bottom = top + this.lineHeight + GAP;
      if (bottom > grid.scrollTop + grid.clientHeight) grid.scrollTop = bottom - grid.clientHeight;
    }
    this.draw();
  }

  showLabels(has) {
    this.hasLabels = has;
    this.#clear();
    this.draw();
  }

  draw() {
    const grid = $("grid");
    if (!grid.clientHeight || !this.columns) return;
    const first = Math.max(0, Math.floor(grid.scrollTop / this.lineHeight) - AHEAD);
    const last = Math.ceil((grid.scrollTop + grid.clientHeight) / this.lineHeight) + AHEAD;
    const [begin, end] = [first * this.columns, Math.min(this.total, last * this.columns)];
    for (const [place, cell] of this.cells) {
      if (place >= begin && place < end) continue;
      cell.querySelector("img")?.removeAttribute("src"); // what is on its way is not waited for
      cell.remove();
      this.cells.delete(place);
    }
    for (let page = Math.floor(begin / PAGE); page * PAGE < end; page++) {
      if (!this.pages.has(page)) this.#fetchSoon(page);
    }
    for (let place = begin; place < end; place++) {
      if (!this.cells.has(place)) this.#add(place);
      const cell = this.cells.get(place);
      const isCurrent = place === this.current;
      cell.setAttribute("aria-selected", isCurrent);
      if (isCurrent) $("grid").setAttribute("aria-activedescendant", cell.id);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#loadPictures(), this.cells.size > 200 ? 250 : REST);
  }

  #layOut() {
    const grid = $("grid");
    const width = grid.clientWidth - 2 * GAP;
    if (width <= 0) return;
    const least = width < 560 ? 150 : 196;
    this.columns = Math.max(2, Math.floor(width / least));
    this.cellWidth = Math.floor(width / this.columns);
    this.pictureHeight = Math.round((this.cellWidth - 10 - GAP) / this.aspect);
    const height = this.pictureHeight + TEXT + GAP;
    const top = this.lineHeight ? grid.scrollTop / this.lineHeight : 0;
    const isNew = height !== this.lineHeight;
    this.lineHeight = height;
    $("grid-room").style.height = `${Math.ceil(this.total / this.columns) * height + GAP}px`;
    if (isNew) grid.scrollTop = top * height;
    for (const [place, cell] of this.cells) this.#place(cell, place);
    this.draw();
  }

  #place(cell, place) {
    const line = Math.floor(place / this.columns);
    cell.style.width = `${this.cellWidth - GAP}px`;
    cell.style.height = `${this.lineHeight - GAP}px`;
    cell.style.left = `${GAP + (place % this.columns) * this.cellWidth}px`;
    cell.style.top = `${GAP + line * this.lineHeight}px`;
    cell.firstChild.style.height = `${this.pictureHeight}px`;
  }

  #add(place) {
    const cell = document.createElement("div");
    cell.className = "cell";
    cell.id = `cell-${place}`;
    cell.setAttribute("role", "option");
    cell.setAttribute("aria-setsize", this.total);
    cell.setAttribute("aria-posinset", place + 1);
    const shot = document.createElement("span");
    shot.className = "shot";
    cell.append(shot);
    cell.addEventListener("click", () => {
      this.choose(place, { scroll: false });
      this.open(place);
    });
    this.cells.set(place, cell);
    this.#place(cell, place);
    const row = this.known(place);
    if (row) this.#fill(cell, row);
    $("grid-room").append(cell);
  }

  #fill(cell, row) {
    const [shot] = cell.children;
    const picture = document.createElement("img");
    picture.alt = "";
    picture.decoding = "async";
    picture.dataset.src = frameAddress(row.frame, this.hasLabels ? "thumbnail?masked=1" : "thumbnail");
    shot.replaceChildren(picture);
    const badges = row.marks.map((mark) => text("span", mark));
    if (badges.length) {
      const box = document.createElement("span");
      box.className = "badges";
      box.append(...badges);
      shot.append(box);
    }
    const tag = text("span", row.split);
    tag.className = "tag";
    tag.dataset.split = row.split;
    const below = document.createElement("div");
    below.className = "below";
    below.append(tag, ...figures(row).map((figure) => text("span", figure)));
    cell.replaceChildren(shot, text("b", row.name), below);
    const shown = row.classes.length ? row.classes : row.predicted;
    cell.title = [row.name, row.source, shown.join(", ")].filter(Boolean).join("\n");
  }

  #loadPictures() {
    for (const cell of this.cells.values()) {
      const picture = cell.querySelector("img");
      if (picture?.dataset.src && !picture.src) picture.src = picture.dataset.src;
    }
  }

  #fetchSoon(page) {
    // Of a scroll over thousands of frames only what is in sight when it rests.
    clearTimeout(this.fetchTimer);
    this.fetchTimer = setTimeout(() => this.#fetch(page).then(() => this.draw()), REST);
  }

  async #fetch(page) {
    const { question, asked } = this;
    const window = `start=${page * PAGE}&number=${PAGE}`;
    try {
      const content = await get(`/api/browse/frames?${join(question, window)}`);
      if (asked !== this.asked) return;
      this.pages.set(page, content.frames);
      while (this.pages.size > MOST_PAGES) this.pages.delete(this.pages.keys().next().value);
      for (const [place, cell] of this.cells) {
        const row = Math.floor(place / PAGE) === page ? this.known(place) : null;
        if (row) this.#fill(cell, row);
      }
      this.#loadPictures();
    } catch (error) {
      this.say(error.message);
    }
  }

  #clear() {
    for (const cell of this.cells.values()) cell.remove();
    this.cells.clear();
    $("grid").removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const lines = Math.max(1, Math.floor($("grid").clientHeight / this.lineHeight));
    const step = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -this.columns,
      ArrowDown: this.columns,
      PageUp: -lines * this.columns,
      PageDown: lines * this.columns,
      Home: -this.total,
      End: this.total,
    }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      this.choose(this.current + step);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.total) this.open(this.current);
    }
  }
}

function figures(row) {
  // The figures that a model or a device gave.
  const told = [];
  if (row.score !== null) told.push(`score ${row.score.toFixed(2)}`);
  if (row.entropy !== null) told.push(`entropy ${row.entropy.toFixed(3)}`);
  return told;
}

export function text(kind, content) {
  const item = document.createElement(kind);
  item.textContent = content;
  return item;
}

const join = (question, window) => (question ? `${question}&${window}` : window);
