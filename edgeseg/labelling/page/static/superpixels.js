// Superpixels in a worker: SLIC, "SLIC Superpixels Compared to State-of-the-art Superpixel
// Methods" (Achanta and others, PAMI 2012), each pixel looking at the nine cells around it.

const ROUNDS = 6;
const COMPACTNESS = 14; // how much nearness counts beside color

self.onmessage = ({ data: { id, rgba, width, height, side } }) => {
  const cells = slic(toLab(rgba), width, height, side);
  self.postMessage({ id, side, cells }, [cells.buffer]);
};

function toLab(rgba) {
  // CIELAB of sRGB, D65.
  const linear = new Float32Array(256);
  for (let v = 0; v < 256; v++) {
    const c = v / 255;
    linear[v] = c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }
  const curve = (t) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const lab = new Float32Array((rgba.length / 4) * 3);
  for (let i = 0, o = 0; i < rgba.length; i += 4, o += 3) {
    const [r, g, b] = [linear[rgba[i]], linear[rgba[i + 1]], linear[rgba[i + 2]]];
    const x = curve((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505);
    const y = curve(0.2126 * r + 0.7152 * g + 0.0722 * b);
    const z = curve((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
    lab[o] = 116 * y - 16;
    lab[o + 1] = 500 * (x - y);
    lab[o + 2] = 200 * (y - z);
  }
  return lab;
}

export function slic(lab, width, height, side) {
  const columns = Math.max(1, Math.round(width / side));
  const rows = Math.max(1, Math.round(height / side));
  const count = columns * rows;
  const centers = new Float32Array(count * 5);
  const [stepX, stepY] = [width / columns, height / rows];
  for (let k = 0; k < count; k++) {
    const x = Math.floor(((k % columns) + 0.5) * stepX);
    const y = Math.floor((Math.floor(k / columns) + 0.5) * stepY);
    const i = (y * width + x) * 3;
    centers.set([lab[i], lab[i + 1], lab[i + 2], x, y], k * 5);
  }
  const near = (COMPACTNESS / side) ** 2;
  const cells = new Int32Array(width * height);
  const sums = new Float64Array(count * 6);
  for (let round = 0; round < ROUNDS; round++) {
    sums.fill(0);
    for (let y = 0, i = 0; y < height; y++) {
      const row = Math.min(rows - 1, Math.floor(y / stepY));
      for (let x = 0; x < width; x++, i++) {
        const column = Math.min(columns - 1, Math.floor(x / stepX));
        const [l, a, b] = [lab[i * 3], lab[i * 3 + 1], lab[i * 3 + 2]];
        let best = Infinity;
        let cell = 0;
        for (let r = Math.max(0, row - 1); r <= Math.min(rows - 1, row + 1); r++) {
          for (let c = Math.max(0, column - 1); c <= Math.min(columns - 1, column + 1); c++) {
            const k = (r * columns + c) * 5;
            const dl = l - centers[k];
            const da = a - centers[k + 1];
            const db = b - centers[k + 2];
            const dx = x - centers[k + 3];
            const dy = y - centers[k + 4];
            const distance = dl * dl + da * da + db * db + (dx * dx + dy * dy) * near;
            if (distance < best) {
              best = distance;
              cell = r * columns + c;
            }
          }
        }
        cells[i] = cell;
        const s = cell * 6;
        sums[s] += l;
        sums[s + 1] += a;
        sums[s + 2] += b;
        sums[s + 3] += x;
        sums[s + 4] += y;
        sums[s + 5] += 1;
      }
    }
    for (let k = 0; k < count; k++) {
      const number = sums[k * 6 + 5];
      if (number) for (let j = 0; j < 5; j++) centers[k * 5 + j] = sums[k * 6 + j] / number;
    }
  }
  return connected(cells, width, height, (side * side) / 4);
}

function connected(cells, width, height, least) {
  // Each piece that hangs together becomes a cell; small ones join the one before them.
  const out = new Int32Array(cells.length).fill(-1);
  const stack = new Int32Array(cells.length);
  let next = 0;
  for (let seed = 0; seed < cells.length; seed++) {
    if (out[seed] >= 0) continue;
    const neighbor = seed % width ? out[seed - 1] : seed >= width ? out[seed - width] : -1;
    let [size, top] = [0, 0];
    stack[top++] = seed;
    out[seed] = next;
    const members = [];
    while (top) {
      const i = stack[--top];
      members.push(i);
      size++;
      const x = i % width;
      for (const j of [x ? i - 1 : -1, x + 1 < width ? i + 1 : -1, i - width, i + width]) {
        if (j >= 0 && j < cells.length && out[j] < 0 && cells[j] === cells[seed]) {
          out[j] = next;
          stack[top++] = j;
        }
      }
    }
    if (size < least && neighbor >= 0) for (const i of members) out[i] = neighbor;
    else next++;
  }
  return out;
}
