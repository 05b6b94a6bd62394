// Masks: from COCO's compressed run lengths to pixels.

/** The alternating run lengths, background first, that a string of counts holds. */
export function runsOf(counts) {
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      const bits = counts.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      shift += 5;
      more = (bits & 32) !== 0;
      if (!more && bits & 16) value |= -1 << shift;
    }
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/** Whether a mask has no pixel: it is one run of background. */
export const isEmpty = (counts) => runsOf(counts).length < 2;

/** The mask as (height * width) bytes of 0 and 1, row by row; runs go down the columns. */
export function pixelsOf(counts, [height, width]) {
  const mask = new Uint8Array(height * width);
  let at = 0;
  let inside = false;
  for (const run of runsOf(counts)) {
    if (inside) {
      let row = at % height;
      let index = row * width + (at - row) / height;
      for (let left = run; left > 0; left--) {
        mask[index] = 1;
        if (++row === height) {
          row = 0;
          index += 1 - (height - 1) * width;
        } else index += width;
      }
    }
    at += run;
    inside = !inside;
  }
  return mask;
}

/** Puts a mask's colour into RGBA pixels: `opacity` inside, opaque along a contour that is `line` pixels wide. */
export function colourIn(rgba, mask, [height, width], colour, opacity, line) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  const alpha = Math.round(255 * opacity);
  for (let row = 0, index = 0; row < height; row++) {
    for (let column = 0; column < width; column++, index++) {
      if (!mask[index]) continue;
      const edge =
        (column >= line && !mask[index - line]) ||
        (column < width - line && !mask[index + line]) ||
        (row >= line && !mask[index - line * width]) ||
        (row < height - line && !mask[index + line * width]);
      const out = index * 4;
      rgba[out] = red;
      rgba[out + 1] = green;
      rgba[out + 2] = blue;
      rgba[out + 3] = edge ? 255 : alpha;
    }
  }
}
