// The filters at the side: what can be chosen, with the number of frames of each choice.

import { text } from "./browse_grid.js";

const $ = (id) => document.getElementById(id);
const LISTS = ["camera", "split", "class", "origin", "mark"];
const TITLES = { camera: "Camera", split: "Split", class: "Class shown", origin: "Origin", mark: "Marks" };
const WORDS = {
  origin: { footage: "footage", labels: "added with a label", log: "frame log of a device" },
  mark: { flagged: "flagged", skipped: "skipped", drawing: "begun to label" },
  split: { withheld: "withheld: too near val or gate" },
};
const SEEN = { either: "in label or prediction", label: "in the label", prediction: "in the prediction" };
const SINGLE = ["seen", "since", "until", "text", "sort"];
const PAUSE = 250; // ms after a key

export class Filters {
  constructor({ changed }) {
    this.changed = changed;
    this.chosen = Object.fromEntries(LISTS.map((name) => [name, new Set()]));
    this.single = {};
    this.boxes = new Map();
    this.colors = new Map();
    for (const name of ["text", "since", "until"]) {
      const input = $(name);
      input.addEventListener("input", () => {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.#set(name, input.value.trim()), PAUSE);
      });
    }
    $("sort").addEventListener("change", () => this.#set("sort", $("sort").value));
    $("clear").addEventListener("click", () => this.clear());
  }

  build(site) {
    for (const spec of site.classes) this.colors.set(spec.name, spec.color);
    $("groups").replaceChildren(...LISTS.map((name) => this.#group(name)));
    const names = {
      place: "camera and time",
      newest: "newest first",
      entropy: "model most unsure first",
      contradiction: "model contradicts itself first",
      score: "highest score on the device first",
      labelled: "labelled last first",
    };
    for (const sort of site.sorts) $("sort").add(new Option(names[sort] ?? sort, sort));
    [$("since").placeholder, $("until").placeholder] = site.with_clock ? ["2026-03-04", "2026-03-05"] : ["1:30", "2:00"];
    $("time-hint").textContent = site.with_clock
      ? "A date in UTC, with or without a time, of frames that know it; or a place in a source, as 1:30."
      : "A place in a source, as 1:30.";
  }

  read(address) {
    // Take the filters out of an address.
    for (const name of LISTS) this.chosen[name] = new Set(address.getAll(name));
    for (const name of SINGLE) this.single[name] = address.get(name) ?? "";
    for (const name of ["text", "since", "until"]) $(name).value = this.single[name];
    $("sort").value = this.single.sort || "place";
    const seen = document.querySelector(".seen");
    if (seen) seen.value = this.single.seen || "either";
  }

  write() {
    const address = new URLSearchParams();
    for (const name of LISTS) for (const value of this.chosen[name]) address.append(name, value);
    for (const name of SINGLE) if (this.single[name]) address.append(name, this.single[name]);
    return address;
  }

  get isSet() {
    const { sort, seen, ...others } = this.single;
    return LISTS.some((name) => this.chosen[name].size) || Object.values(others).some(Boolean);
  }

  clear() {
    const { sort } = this.single;
    this.read(new URLSearchParams(sort ? { sort } : {}));
    this.changed();
  }

  only(name, value) {
    this.read(new URLSearchParams({ [name]: value }));
    this.changed();
  }

  show(counts) {
    // The choices there are, each with its number of frames.
    for (const name of LISTS) {
      const { list, summary, group } = this.boxes.get(name);
      const values = Object.entries(counts[name]);
      const shown = values.filter(([value, number]) => number || this.chosen[name].has(value) || name === "class");
      for (const value of this.chosen[name]) if (!(value in counts[name])) shown.push([value, 0]);
      list.replaceChildren(...shown.map(([value, number]) => this.#choice(name, value, number)));
      const number = this.chosen[name].size;
      summary.replaceChildren(TITLES[name], number ? " " : "", ...(number ? [text("b", `(${number})`)] : []));
      group.hidden = !shown.length;
    }
    $("clear").disabled = !this.isSet;
  }

  invalid(error) {
    // Which time is none, if that is what an error is about.
    for (const name of ["since", "until"]) {
      const value = this.single[name];
      $(name).setAttribute("aria-invalid", Boolean(error && value && error.includes(`'${value}'`)));
    }
  }

  #group(name) {
    const group = document.createElement("details");
    group.className = "group";
    group.open = true;
    const summary = document.createElement("summary");
    summary.textContent = TITLES[name];
    const list = document.createElement("div");
    list.className = "choices";
    list.setAttribute("role", "group");
    list.setAttribute("aria-label", TITLES[name]);
    group.append(summary, list);
    if (name === "class") {
      const seen = document.createElement("select");
      seen.className = "seen";
      seen.setAttribute("aria-label", "Where classes must be shown");
      for (const [value, words] of Object.entries(SEEN)) seen.add(new Option(words, value));
      seen.addEventListener("change", () => this.#set("seen", seen.value === "either" ? "" : seen.value));
      group.append(seen);
    }
    this.boxes.set(name, { list, summary, group });
    return group;
  }

  #choice(name, value, number) {
    const label = document.createElement("label");
    label.className = "choice";
    label.dataset.none = number ? "no" : "yes";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = this.chosen[name].has(value);
    box.dataset.filter = `${name}:${value}`;
    box.addEventListener("change", () => {
      if (box.checked) this.chosen[name].add(value);
      else this.chosen[name].delete(value);
      this.focused = box.dataset.filter;
      this.changed();
    });
    const words = text("span", WORDS[name]?.[value] ?? value);
    words.title = words.textContent;
    if (name === "class") {
      const square = document.createElement("i");
      square.style.background = this.colors.get(value);
      words.prepend(square);
    }
    label.append(box, words, text("small", number.toLocaleString("en")));
    return label;
  }

  refocus() {
    // The choice that was made with the keyboard keeps the focus when its list is drawn again.
    if (!this.focused) return;
    const box = [...document.querySelectorAll("[data-filter]")].find((one) => one.dataset.filter === this.focused);
    box?.focus();
    this.focused = null;
  }

  #set(name, value) {
    if ((this.single[name] ?? "") === value) return;
    this.single[name] = name === "sort" && value === "place" ? "" : value;
    this.changed();
  }
}
