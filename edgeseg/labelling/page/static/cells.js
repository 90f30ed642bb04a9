// Superpixels of the frame that is open: computed once per size, shown as thin lines.

export class Cells {
  constructor(canvas, picture, say) {
    this.canvas = canvas;
    this.picture = picture;
    this.say = say;
    this.ids = null;
    this.number = 0; // of the newest wish
    this.worker = null;
  }

  forget() {
    this.ids = null;
    this.side = 0;
    this.lists = null;
    this.number++;
    this.hide();
  }

  hide() {
    this.isShown = false;
    this.canvas.hidden = true;
  }

  show(size) {
    this.isShown = true;
    const side = Math.max(6, Math.min(80, Math.round(size)));
    if (side === this.side) {
      this.canvas.hidden = !this.ids;
      return;
    }
    this.side = side;
    this.ids = null;
    this.canvas.hidden = true;
    clearTimeout(this.timer); // a slider sends many sizes
    this.timer = setTimeout(() => this.#ask(side), 120);
  }

  members(cell) {
    return this.lists[cell];
  }

  #ask(side) {
    if (!this.worker) {
      this.worker = new Worker("/static/superpixels.js", { type: "module" });
      this.worker.onmessage = ({ data }) => this.#take(data);
      this.worker.onerror = () => this.say("superpixels failed; use another tool");
    }
    const { width, height } = this.picture;
    const { data } = this.picture.getContext("2d").getImageData(0, 0, width, height);
    const id = ++this.number;
    this.say("finding superpixels", 900);
    this.worker.postMessage({ id, rgba: data, width, height, side }, [data.buffer]);
  }

  #take({ id, cells }) {
    if (id !== this.number) return; // for another frame or size
    const { width, height } = this.picture;
    this.ids = cells;
    const lists = [];
    for (let i = 0; i < cells.length; i++) {
      const [x, y] = [i % width, Math.floor(i / width)];
      const list = (lists[cells[i]] ??= { pixels: [], box: [x, y, x + 1, y + 1] });
      list.pixels.push(i);
      const { box } = list;
      if (x < box[0]) box[0] = x;
      if (x >= box[2]) box[2] = x + 1;
      box[3] = y + 1;
    }
    this.lists = lists;
    this.#paint();
    this.canvas.hidden = !this.isShown;
  }

  #paint() {
    const { width, height } = this.picture;
    this.canvas.width = width;
    this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const line = new Uint32Array(new Uint8ClampedArray([255, 255, 255, 95]).buffer)[0];
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const isEdge =
          (x + 1 < width && this.ids[i + 1] !== this.ids[i]) ||
          (y + 1 < height && this.ids[i + width] !== this.ids[i]);
        if (isEdge) pixels[i] = line;
      }
    }
    context.putImageData(image, 0, 0);
  }
}
