// Reads the colours of picture.css for canvases, again after each change of the visitor's colour scheme. Makes canvases
// that are sharp on every screen. Used by queue-picture.js and charts.js.

const names = [
  "text",
  "muted",
  "faint",
  "line",
  "surface",
  "used",
  "idle",
  "opening",
  "waiting",
  "urgent",
  "served",
  "overflow",
  "refused",
];
let colours;

/** By name, as text for a canvas. */
export function theme() {
  if (colours === undefined) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    colours.font = style.getPropertyValue("--font").trim();
  }
  return colours;
}

/** Calls `changed` after a change of the colours. */
export function onThemeChange(changed) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colours = undefined;
    changed();
  });
}

/** A canvas that fills its element; `size` is measured when it changes, not at every frame. */
export class SharpCanvas {
  width = 0;
  height = 0;
  /** Called after a change of size. */
  onResize = () => {};

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      const scale = globalThis.devicePixelRatio || 1;
      this.width = width;
      this.height = height;
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      this.context.setTransform(scale, 0, 0, scale, 0, 0);
      this.onResize();
    }).observe(canvas);
  }

  /** Empties it. */
  begin() {
    this.context.clearRect(0, 0, this.width, this.height);
    return this.context;
  }
}
