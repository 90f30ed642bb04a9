// The list at the side: which frame is next, why, and how each stands.

import { frameAddress, get } from "./server.js";

const $ = (id) => document.getElementById(id);
export const SOURCE_NAMES = {
  footage: "Footage",
  log: "Frame log",
  round: "This round",
  val: "For val",
  flagged: "Flagged",
  skipped: "Skipped",
  labelled: "Labelled",
};
const STATES = { draft: "begun", waiting: "on its way", labelled: "labelled", skipped: "skipped", new: "" };
const DONE = new Set(["labelled", "waiting", "skipped"]);

export class Queue {
  constructor({ choose, say }) {
    this.choose = choose;
    this.say = say;
    this.rows = [];
    this.current = null;
    this.source = "footage";
    this.isOrdered = true;
    $("frames").addEventListener("keydown", (event) => this.#key(event));
  }

  async load(source, isAnew = false) {
    this.source = source;
    const list = $("frames");
    list.setAttribute("aria-busy", "true");
    if (isAnew || !this.rows.length) list.replaceChildren(...skeleton());
    try {
      const content = await get(`/api/queue/${source}${isAnew ? "?anew=1" : ""}`);
      if (this.source !== source) return;
      this.rows = content.frames;
      this.needs = content.needs;
      this.isOrdered = content.is_ordered;
      if (content.trouble) this.say(`the queue is not ordered: ${content.trouble}`, 12000);
    } finally {
      if (this.source === source) {
        list.removeAttribute("aria-busy");
        this.#draw(); // what was there, if the server did not answer
      }
    }
  }

  async refresh() {
    await this.load(this.source);
  }

  get isReview() {
    return ["labelled", "flagged", "skipped"].includes(this.source);
  }

  isDone(row) {
    if (this.source === "skipped") return row.state !== "skipped" && row.state !== "draft";
    return this.isReview ? row.state === "skipped" || row.seen : DONE.has(row.state);
  }

  row(frame) {
    return this.rows.find((row) => row.frame === frame);
  }

  mark(frame, state) {
    const row = this.row(frame);
    if (!row) return;
    row.state = state;
    row.seen = state !== "draft";
    this.#draw();
  }

  next(from = this.current) {
    // The first open frame behind `from`, else the first open one.
    const place = this.rows.findIndex((row) => row.frame === from);
    const order = [...this.rows.slice(place + 1), ...this.rows.slice(0, Math.max(0, place))];
    return order.find((row) => !this.isDone(row))?.frame ?? null;
  }

  beside(step) {
    const place = this.rows.findIndex((row) => row.frame === this.current);
    return this.rows[Math.min(this.rows.length - 1, Math.max(0, place + step))]?.frame ?? null;
  }

  setCurrent(frame) {
    this.current = frame;
    for (const item of $("frames").children) {
      const isCurrent = item.dataset.frame === frame;
      item.setAttribute("aria-selected", isCurrent);
      if (isCurrent) item.scrollIntoView({ block: "nearest" });
      if (isCurrent) $("frames").setAttribute("aria-activedescendant", item.id);
    }
  }

  #draw() {
    const list = $("frames");
    list.removeAttribute("aria-activedescendant");
    list.replaceChildren(...this.rows.map((row, place) => this.#item(row, place)));
    if (!this.rows.length) {
      const none = document.createElement("li");
      none.className = "none";
      none.textContent = "No frames in this queue.";
      list.append(none);
    }
    const left = this.rows.filter((row) => !this.isDone(row)).length;
    $("left").textContent = this.isReview ? `${this.rows.length} to look at` : `${left} left`;
    const share = this.rows.length ? 1 - left / this.rows.length : 0;
    $("meter").style.width = `${Math.round(share * 100)}%`;
    const needs = this.needs ?? [];
    $("needs").replaceChildren(
      ...needs.map((sentence) => {
        const item = document.createElement("li");
        for (const [place, part] of sentence.split("`").entries()) {
          const piece = document.createElement(place % 2 ? "code" : "span");
          piece.textContent = part;
          item.append(piece);
        }
        return item;
      }),
    );
    $("needs-count").textContent = needs.length ? needs.length : "nothing";
    this.setCurrent(this.current);
  }

  #item(row, place) {
    const item = document.createElement("li");
    item.id = `queue-${place}`;
    item.dataset.frame = row.frame;
    item.dataset.state = row.state;
    item.setAttribute("role", "option");
    const picture = document.createElement("img");
    picture.src = frameAddress(row.frame, "thumbnail");
    picture.loading = "lazy";
    picture.alt = "";
    picture.width = 72;
    const text = document.createElement("div");
    const name = document.createElement("b");
    name.textContent = row.name;
    const reason = document.createElement("span");
    reason.textContent = row.reasons.join(", ");
    text.append(name, reason);
    const state = document.createElement("em");
    state.textContent = STATES[row.state] ?? row.state;
    item.append(picture, text, state);
    item.title = [row.source, ...row.reasons].join("\n");
    item.addEventListener("click", () => this.choose(row.frame));
    return item;
  }

  #key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const frame = this.beside(steps[event.key]);
    if (frame && frame !== this.current) this.choose(frame);
  }
}

function skeleton() {
  return Array.from({ length: 6 }, () => {
    const item = document.createElement("li");
    item.className = "ghost";
    return item;
  });
}
