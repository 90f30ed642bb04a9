// What training reads: the batch of one step, made by the trainer itself.

import { text } from "./browse_grid.js";
import { Mask } from "./mask.js";
import { Paints, shownColors } from "./palette.js";
import { decodeRuns } from "./runs.js";
import { get } from "./server.js";

export class TrainingView {
  constructor({ site, say, openFrame, changed }) {
    this.site = site;
    this.say = say;
    this.openFrame = openFrame;
    this.changed = changed;
    this.room = document.getElementById("training-view");
    this.number = 0;
    this.masks = [];
  }

  async show(address) {
    // Draw the tab, with the training and the step that an address names.
    if (!this.trainings) {
      const content = await get("/api/browse/trainings");
      this.trainings = content.trainings;
      this.#build(content.has_torch);
      if (!content.has_torch) return;
    }
    const wanted = `${address.get("verb") ?? ""}/${address.get("run") ?? ""}`;
    const known = this.trainings.findIndex((each) => `${each.verb}/${each.run}` === wanted);
    if (known >= 0) this.select.value = known;
    else if (address.get("run") || address.get("verb")) {
      this.#ask(`The site has no training ${address.get("run") || address.get("verb")}; choose another one above.`);
      return;
    }
    const step = address.get("step");
    this.step.value = step ?? "";
    await this.read();
  }

  async read() {
    const number = ++this.number;
    const training = this.trainings[this.select.value];
    if (!training) return;
    const { verb, run } = training;
    const asked = new URLSearchParams({ verb, run });
    if (/^\d+$/.test(this.step.value)) asked.set("step", this.step.value);
    this.batch.setAttribute("aria-busy", "true");
    this.batch.replaceChildren(text("p", "The trainer makes this batch; the first one takes a while, for torch and the network are loaded."));
    this.batch.firstChild.className = "waits";
    try {
      const content = await get(`/api/browse/batch?${asked}`);
      if (number !== this.number) return;
      this.step.value = content.step;
      this.steps.textContent = `0 to ${(training.steps - 1).toLocaleString("en")}`;
      this.#draw(content);
      this.changed({ verb, run, step: String(content.step) });
    } catch (error) {
      if (number !== this.number) return;
      this.batch.replaceChildren(text("p", error.message));
      this.batch.firstChild.className = "waits";
    } finally {
      if (number === this.number) this.batch.removeAttribute("aria-busy");
    }
  }

  #ask(sentence) {
    this.number++; // what is still being read is not drawn over it
    this.select.value = "";
    this.step.value = "";
    this.steps.textContent = "";
    this.batch.removeAttribute("aria-busy");
    this.batch.replaceChildren(text("p", sentence));
    this.batch.firstChild.className = "waits";
  }

  #build(hasTorch) {
    if (!hasTorch) {
      const note = text("p", "What training reads is made by the trainer itself, and torch is not installed here; open this page where you train.");
      note.className = "waits";
      this.room.replaceChildren(note);
      return;
    }
    const bar = document.createElement("div");
    bar.className = "training-bar";
    this.select = document.createElement("select");
    this.select.id = "training";
    this.trainings.forEach((each, place) => this.select.add(new Option(titleOf(each), place)));
    this.select.addEventListener("change", () => {
      this.step.value = "";
      this.read();
    });
    this.step = document.createElement("input");
    this.step.id = "step";
    this.step.inputMode = "numeric";
    this.step.setAttribute("aria-label", "Step");
    this.step.addEventListener("change", () => this.read());
    this.steps = text("span", "");
    const stepper = document.createElement("div");
    stepper.className = "stepper";
    stepper.append(this.#stepButton("−", -1, "Step before"), this.step, this.#stepButton("+", 1, "Next step"));
    this.opacity = document.createElement("input");
    this.opacity.type = "range";
    this.opacity.max = 100;
    this.opacity.step = 5;
    this.opacity.value = 45;
    this.opacity.addEventListener("input", () => this.#repaint());
    const opacity = labelled("Opacity of masks", this.opacity);
    opacity.className = "slider";
    const step = labelled("Step ", stepper);
    step.firstChild.append(this.steps);
    bar.append(labelled("Training", this.select), step, opacity);
    this.batch = document.createElement("div");
    this.batch.className = "batch";
    this.room.replaceChildren(bar, this.batch);
  }

  #stepButton(sign, by, name) {
    const button = text("button", sign);
    button.className = "icon";
    button.setAttribute("aria-label", name);
    button.addEventListener("click", () => {
      this.step.value = Math.max(0, Number(this.step.value || 0) + by);
      this.read();
    });
    return button;
  }

  #draw(content) {
    this.masks = [];
    const notes = content.notes.map((note) => text("p", note));
    for (const note of notes) note.className = "notes";
    const groups = content.groups.flatMap((group) => {
      const row = document.createElement("div");
      row.className = "batch-row";
      row.append(...group.cells.map((cell) => this.#cell(cell)));
      return [text("h2", group.title), text("p", group.text), row];
    });
    this.batch.replaceChildren(...notes, ...groups);
    this.#repaint();
  }

  #cell(cell) {
    const figure = document.createElement("figure");
    const room = document.createElement("div");
    const picture = document.createElement("canvas");
    room.append(picture);
    const image = new Image();
    image.addEventListener("load", () => {
      picture.width = cell.width;
      picture.height = cell.height;
      picture.getContext("2d").drawImage(image, 0, 0);
    });
    image.src = cell.image;
    picture.style.aspectRatio = `${cell.width} / ${cell.height}`;
    if (cell.runs) {
      const canvas = document.createElement("canvas");
      const mask = new Mask(canvas);
      mask.paints = new Paints(shownColors(this.site.classes, "site"), 0.5, false);
      const ids = decodeRuns(cell.runs, cell.width * cell.height);
      mask.load(cell.width, cell.height, ids, null);
      this.masks.push(mask);
      room.append(canvas);
    }
    const caption = document.createElement("figcaption");
    if (cell.frame) {
      const link = document.createElement("a");
      link.href = `/browse?frame=${encodeURIComponent(cell.frame)}`;
      link.textContent = cell.name;
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        this.openFrame(cell.frame);
      });
      caption.append(link, cell.caption ? ` · ${cell.caption}` : "");
    } else {
      caption.textContent = cell.caption;
    }
    figure.append(room, caption);
    return figure;
  }

  #repaint() {
    const paints = new Paints(shownColors(this.site.classes, "site"), this.opacity.value / 100, false);
    for (const mask of this.masks) {
      mask.paints = paints;
      mask.repaint();
    }
  }
}

function titleOf({ verb, run, method, checkpoint }) {
  if (!run) return `edgeseg ${verb} as edgeseg.toml is now (${method}), from its beginning`;
  const at = checkpoint === null ? "" : `, checkpoint after ${checkpoint} steps`;
  return `${run} (${method})${at}`;
}

function labelled(name, field) {
  const label = document.createElement("label");
  label.className = "field";
  label.append(text("span", name), field);
  return label;
}
