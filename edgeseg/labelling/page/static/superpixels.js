// Superpixels in a worker: SLIC, "SLIC Superpixels Compared to State-of-the-art Superpixel
// Methods" (Achanta and others, PAMI 2012), each pixel looking at the nine cells around it.

const ROUNDS = 5;
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
    const r = linear[rgba[i]];
    const g = linear[rgba[i + 1]];
    const b = linear[rgba[i + 2]];
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
  const stepX = width / columns;
  const stepY = height / rows;
  const centers = new Float64Array(count * 5); // lightness, a, b, x, y
  for (let k = 0; k < count; k++) {
    const x = Math.floor(((k % columns) + 0.5) * stepX);
    const y = Math.floor((Math.floor(k / columns) + 0.5) * stepY);
    const i = (y * width + x) * 3;
    centers.set([lab[i], lab[i + 1], lab[i + 2], x, y], k * 5);
  }
  const columnOf = Int32Array.from({ length: width }, (_, x) => Math.floor(x / stepX));
  const near = (COMPACTNESS / side) ** 2;
  const cells = new Int32Array(width * height);
  for (let round = 1; round <= ROUNDS; round++) {
    // Centers settle on every second pixel of every second row; the last round gives all a cell.
    const stride = round < ROUNDS ? 2 : 1;
    const sums = new Float64Array(count * 6);
    for (let y = 0; y < height; y += stride) {
      const row = Math.min(rows - 1, Math.floor(y / stepY));
      const firstRow = Math.max(0, row - 1);
      const lastRow = Math.min(rows - 1, row + 1);
      for (let x = 0; x < width; x += stride) {
        const i = y * width + x;
        const column = Math.min(columns - 1, columnOf[x]);
        const firstColumn = Math.max(0, column - 1);
        const lastColumn = Math.min(columns - 1, column + 1);
        const l = lab[i * 3];
        const a = lab[i * 3 + 1];
        const b = lab[i * 3 + 2];
        let cell = row * columns + column; // likely the best: others then fail by their place alone
        let best = distanceTo(centers, cell * 5, l, a, b, x, y, near);
        for (let r = firstRow; r <= lastRow; r++) {
          for (let c = firstColumn; c <= lastColumn; c++) {
            const k = (r * columns + c) * 5;
            const dx = x - centers[k + 3];
            const dy = y - centers[k + 4];
            if ((dx * dx + dy * dy) * near >= best) continue;
            const distance = distanceTo(centers, k, l, a, b, x, y, near);
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

function distanceTo(centers, k, l, a, b, x, y, near) {
  const dl = l - centers[k];
  const da = a - centers[k + 1];
  const db = b - centers[k + 2];
  const dx = x - centers[k + 3];
  const dy = y - centers[k + 4];
  return dl * dl + da * da + db * db + (dx * dx + dy * dy) * near;
}

function connected(cells, width, height, least) {
  // Each piece that hangs together becomes a cell; small ones join the one before them.
  const out = new Int32Array(cells.length).fill(-1);
  const members = new Int32Array(cells.length); // of one piece: those looked at, then those to come
  let next = 0;
  for (let seed = 0; seed < cells.length; seed++) {
    if (out[seed] >= 0) continue;
    const neighbor = seed % width ? out[seed - 1] : seed >= width ? out[seed - width] : -1;
    const cell = cells[seed];
    let size = 1;
    members[0] = seed;
    out[seed] = next;
    const reach = (j) => {
      if (out[j] < 0 && cells[j] === cell) {
        out[j] = next;
        members[size++] = j;
      }
    };
    for (let done = 0; done < size; done++) {
      const i = members[done];
      const x = i % width;
      if (x) reach(i - 1);
      if (x + 1 < width) reach(i + 1);
      if (i >= width) reach(i - width);
      if (i + width < cells.length) reach(i + width);
    }
    if (size < least && neighbor >= 0) for (let k = 0; k < size; k++) out[members[k]] = neighbor;
    else next++;
  }
  return out;
}
