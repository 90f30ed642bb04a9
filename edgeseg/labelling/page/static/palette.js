// Colors of the classes as the mask is painted with them: those of the site, or such that
// color-blind people tell them apart; and a pattern for each class.

import { UNLABELLED } from "./mask.js";

// Okabe and Ito's colors without black, ordered so that neighbors differ in lightness, too.
const SAFE = ["#0072b2", "#e69f00", "#56b4e9", "#d55e00", "#009e73", "#f0e442", "#cc79a7", "#e5e5e5"];
const DARKEN = [1, 0.62, 0.38]; // for classes beyond the eighth: the same hues, darker
const PATTERNS = [
  () => false,
  (x, y) => ((x + y) & 7) < 3, // rising
  (x, y) => (x & 3) < 2 && (y & 3) < 2, // dots
  (x, y) => ((x - y) & 7) < 3, // falling
  (x, y) => (y & 3) < 1, // level
  (x, y) => (x & 3) < 1, // upright
  (x, y) => ((x + y) & 7) < 2 || ((x - y) & 7) < 2, // crossed
  (x, y) => (x & 7) < 4 === (y & 7) < 4, // checks
];

export function rgbOf(color) {
  const value = parseInt(color.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

export function shownColors(classes, kind) {
  if (kind !== "safe") return classes.map((spec) => spec.color);
  return classes.map((spec, place) => {
    const darker = DARKEN[Math.floor(place / SAFE.length) % DARKEN.length];
    const rgb = rgbOf(SAFE[place % SAFE.length]).map((value) => Math.round(value * darker));
    return `#${rgb.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  });
}

export class Paints {
  // 32-bit pixels for each id: inside, in its pattern, and along its edge.
  constructor(colors, opacity, hasPatterns) {
    this.fills = new Uint32Array(256);
    this.seconds = new Uint32Array(256);
    this.edges = new Uint32Array(256);
    this.tiles = new Uint8Array(256 * 64);
    colors.forEach((color, id) => {
      const rgb = rgbOf(color);
      const isLight = rgb[0] * 0.3 + rgb[1] * 0.6 + rgb[2] * 0.1 > 140;
      const other = rgb.map((value) => (isLight ? value * 0.45 : value + (255 - value) * 0.55));
      this.fills[id] = pixel(rgb, opacity);
      this.seconds[id] = pixel(other, opacity);
      this.edges[id] = pixel(rgb, Math.min(1, opacity * 1.3 + 0.25));
      if (hasPatterns) this.#tile(id, PATTERNS[id % PATTERNS.length]);
    });
    // Unlabelled pixels are the picture itself under a fine hatching.
    this.seconds[UNLABELLED] = pixel([255, 255, 255], 0.28 * Math.min(1, opacity * 2));
    this.#tile(UNLABELLED, (x, y) => ((x + y) & 7) === 0);
  }

  #tile(id, pattern) {
    for (let y = 0; y < 8; y++) {
      for (let x = 0; x < 8; x++) this.tiles[(id << 6) | (y << 3) | x] = pattern(x, y) ? 1 : 0;
    }
  }
}

function pixel([red, green, blue], alpha) {
  const bytes = new Uint8ClampedArray([red, green, blue, alpha * 255]);
  return new Uint32Array(bytes.buffer)[0]; // in the order of this machine, as ImageData has it
}
