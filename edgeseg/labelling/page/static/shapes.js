// Shapes in pixels: what a brush, a polygon or a fill covers. A pixel belongs to a shape if its
// middle does; `put(i)` is called for each.

export function brushLine(mask, x0, y0, x1, y1, radius, put) {
  // A round brush drawn from one place to another. Returns the box that it covers.
  const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius));
  const top = Math.max(0, Math.floor(Math.min(y0, y1) - radius));
  const right = Math.min(mask.width, Math.ceil(Math.max(x0, x1) + radius) + 1);
  const bottom = Math.min(mask.height, Math.ceil(Math.max(y0, y1) + radius) + 1);
  const dx = x1 - x0;
  const dy = y1 - y0;
  const length = dx * dx + dy * dy;
  const reach = radius * radius;
  const [tipX, tipY] = [Math.floor(x1), Math.floor(y1)]; // the smallest brush marks a pixel, too
  for (let y = top; y < bottom; y++) {
    const py = y + 0.5 - y0;
    for (let x = left; x < right; x++) {
      const px = x + 0.5 - x0;
      const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const ox = px - along * dx;
      const oy = py - along * dy;
      if (ox * ox + oy * oy <= reach || (x === tipX && y === tipY)) put(y * mask.width + x);
    }
  }
  return [left, top, right, bottom];
}

export function fillPolygon(mask, points, put) {
  // The inside of a closed line, by the even-odd rule.
  let [top, bottom, left, right] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of points) {
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
    left = Math.min(left, x);
    right = Math.max(right, x);
  }
  top = Math.max(0, Math.floor(top));
  bottom = Math.min(mask.height, Math.ceil(bottom));
  for (let y = top; y < bottom; y++) {
    const middle = y + 0.5;
    const crossings = [];
    for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
      const [xa, ya] = points[j];
      const [xb, yb] = points[i];
      if (ya <= middle !== yb <= middle) crossings.push(xa + ((middle - ya) / (yb - ya)) * (xb - xa));
    }
    crossings.sort((a, b) => a - b);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const begin = Math.max(0, Math.ceil(crossings[pair] - 0.5));
      const end = Math.min(mask.width - 1, Math.ceil(crossings[pair + 1] - 0.5) - 1);
      for (let x = begin; x <= end; x++) put(y * mask.width + x);
    }
  }
  return [Math.max(0, Math.floor(left)), top, Math.min(mask.width, Math.ceil(right)), bottom];
}

export function fillRegion(mask, x, y, put) {
  // All pixels of one id that hang together with a pixel, by their sides.
  const { ids, width, height } = mask;
  const id = ids[y * width + x];
  const seen = new Uint8Array(ids.length);
  const open = [y * width + x];
  let [left, top, right, bottom] = [x, y, x, y];
  while (open.length) {
    let i = open.pop();
    if (seen[i]) continue;
    const row = Math.floor(i / width);
    const first = row * width;
    while (i > first && ids[i - 1] === id && !seen[i - 1]) i--;
    left = Math.min(left, i - first);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
    for (; i < first + width && ids[i] === id && !seen[i]; i++) {
      seen[i] = 1;
      if (row > 0 && ids[i - width] === id && !seen[i - width]) open.push(i - width);
      if (row + 1 < height && ids[i + width] === id && !seen[i + width]) open.push(i + width);
      right = Math.max(right, i - first);
    }
  }
  for (let i = top * width; i < (bottom + 1) * width; i++) if (seen[i]) put(i);
  return [left, top, right + 1, bottom + 1];
}
