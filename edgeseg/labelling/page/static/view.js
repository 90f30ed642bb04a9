// Where the frame lies on the stage: zoom and pan.

const MOST = 32; // screen pixels per pixel of the frame

export class View {
  constructor(stage, sheet, group, changed) {
    this.stage = stage;
    this.sheet = sheet;
    this.group = group;
    this.changed = changed;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.isFitted = true;
    new ResizeObserver(() => this.isFitted && this.fit()).observe(stage);
  }

  load(width, height) {
    this.width = width;
    this.height = height;
    this.fit();
  }

  get fittingScale() {
    const { clientWidth, clientHeight } = this.stage;
    return Math.min((clientWidth - 24) / this.width, (clientHeight - 24) / this.height);
  }

  fit() {
    if (!this.width) return;
    this.scale = Math.max(0.01, this.fittingScale);
    this.x = (this.stage.clientWidth - this.width * this.scale) / 2;
    this.y = (this.stage.clientHeight - this.height * this.scale) / 2;
    this.isFitted = true;
    this.#apply();
  }

  toFrame(clientX, clientY) {
    const box = this.stage.getBoundingClientRect();
    return [(clientX - box.left - this.x) / this.scale, (clientY - box.top - this.y) / this.scale];
  }

  zoom(factor, clientX, clientY) {
    const box = this.stage.getBoundingClientRect();
    const [px, py] = [(clientX ?? box.left + box.width / 2) - box.left, (clientY ?? box.top + box.height / 2) - box.top];
    const least = this.fittingScale / 2;
    const scale = Math.min(MOST, Math.max(least, this.scale * factor));
    const ratio = scale / this.scale;
    this.x = px - (px - this.x) * ratio;
    this.y = py - (py - this.y) * ratio;
    this.scale = scale;
    this.isFitted = false;
    this.#apply();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.isFitted = false;
    this.#apply();
  }

  show(x, y) {
    // Bring a pixel of the frame into sight.
    const edge = 40;
    const [px, py] = [this.x + x * this.scale, this.y + y * this.scale];
    const dx = Math.max(0, edge - px) + Math.min(0, this.stage.clientWidth - edge - px);
    const dy = Math.max(0, edge - py) + Math.min(0, this.stage.clientHeight - edge - py);
    if (dx || dy) this.pan(dx, dy);
  }

  #apply() {
    this.sheet.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.sheet.dataset.close = this.scale >= 3 ? "yes" : "no";
    this.group.setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.scale})`);
    this.changed();
  }
}
