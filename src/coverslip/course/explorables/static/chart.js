// Axes and lines. `axes` returns a chart whose x() and y() convert values to pixels.
import { clamp, format } from "./numbers.js";

/** Return about `count` round numbers from low to high. */
export function ticks(low, high, count = 5) {
  const rough = (high - low) / count;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((each) => each >= rough * 0.999);
  const values = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at++) {
    values.push(Number((at * step).toPrecision(12)));
  }
  return values;
}

/**
 * Draw two axes and return the chart.
 * @param x, y {from, to, log, ticks: numbers, write: value -> text}; x also has a label
 * @param box {left, top, right, bottom} in pixels
 */
export function axes(pen, colors, box, x, y) {
  const scale = (axis, low, high) => {
    const transform = axis.log ? Math.log10 : (value) => value;
    const [from, to] = [transform(axis.from), transform(axis.to)];
    return (value) => low + ((transform(value) - from) / (to - from)) * (high - low);
  };
  const chart = { box, x: scale(x, box.left, box.right), y: scale(y, box.bottom, box.top) };
  pen.save();
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const value of y.ticks ?? ticks(y.from, y.to, 4)) {
    const at = Math.round(chart.y(value)) + 0.5;
    pen.strokeStyle = colors.line;
    line(pen, [[box.left, at], [box.right, at]]);
    pen.fillStyle = colors.muted;
    pen.fillText((y.write ?? format)(value), box.left - 6, at);
  }
  pen.strokeStyle = colors.axis;
  line(pen, [[box.left, box.bottom + 0.5], [box.right, box.bottom + 0.5]]);
  pen.textBaseline = "top";
  pen.textAlign = "center";
  for (const value of x.ticks ?? ticks(x.from, x.to, clamp(Math.floor((box.right - box.left) / 55), 2, 8))) {
    const at = Math.round(chart.x(value)) + 0.5;
    line(pen, [[at, box.bottom + 0.5], [at, box.bottom + 4]]);
    const text = (x.write ?? format)(value);
    pen.fillText(text, Math.min(at, box.right + 7 - pen.measureText(text).width / 2), box.bottom + 7);
  }
  pen.fillStyle = colors.muted;
  pen.textAlign = "right";
  if (x.label) pen.fillText(x.label, box.right, box.bottom + 22);
  pen.restore();
  return chart;
}

/** Draw a line through pixels; a null makes a gap. */
export function line(pen, pixels) {
  pen.beginPath();
  let down = false;
  for (const pixel of pixels) {
    if (pixel === null) down = false;
    else if (down) pen.lineTo(pixel[0], pixel[1]);
    else {
      pen.moveTo(pixel[0], pixel[1]);
      down = true;
    }
  }
  pen.stroke();
}

/** Draw only inside a box. */
export function inside(pen, box, draw) {
  pen.save();
  pen.beginPath();
  pen.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  pen.clip();
  draw();
  pen.restore();
}

/** Draw text with a light outline, so that it is readable over lines. */
export function caption(pen, colors, text, x, y, { align = "left", color = colors.ink, bold = false } = {}) {
  pen.save();
  if (bold) pen.font = `600 ${pen.font}`;
  pen.textAlign = align;
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = colors.card;
  pen.strokeText(text, x, y);
  pen.fillStyle = color;
  pen.fillText(text, x, y);
  pen.restore();
}
