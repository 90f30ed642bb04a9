// Masks as runs of equal ids in base64: length in the upper 24 bits, class id in the lower 8.
// The same form as edgeseg/labelling/drafts/mask_runs.py.

const MOST_RUN = (1 << 24) - 1;
const CHUNK = 0x8000; // characters that String.fromCharCode takes at once

export function encodeRuns(ids) {
  let count = 1;
  for (let i = 1; i < ids.length; i++) if (ids[i] !== ids[i - 1]) count++;
  const runs = new Uint32Array(count + Math.ceil(ids.length / MOST_RUN));
  let place = 0;
  for (let start = 0; start < ids.length; ) {
    const id = ids[start];
    let end = start + 1;
    while (end < ids.length && ids[end] === id && end - start < MOST_RUN) end++;
    runs[place++] = ((end - start) * 256 + id) >>> 0;
    start = end;
  }
  const bytes = new Uint8Array(runs.buffer, 0, place * 4);
  let text = "";
  for (let i = 0; i < bytes.length; i += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  }
  return btoa(text);
}

export function decodeRuns(text, size) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const runs = new Uint32Array(bytes.buffer);
  const ids = new Uint8Array(size);
  let place = 0;
  for (const run of runs) {
    const end = place + (run >>> 8);
    ids.fill(run & 255, place, end);
    place = end;
  }
  if (place !== size) throw new Error("the mask has another size than its frame");
  return ids;
}
