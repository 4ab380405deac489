// The signs of the picture: one for each state of a connection and each ending of a caller, so that no meaning has only
// a colour. picture.js and cells.js refer to them by name.

const namespace = "http://www.w3.org/2000/svg";

const line = (d, width = 2.2) => ["path", { d, fill: "none", stroke: "currentColor", "stroke-width": width }];
const area = (d) => ["path", { d, fill: "currentColor" }];
const ring = (r) => ["circle", { cx: 8, cy: 8, r, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }];
const dot = (cy, r) => ["circle", { cx: 8, cy, r, fill: "currentColor" }];

const signs = {
  idle: [ring(5)],
  used: [area("M4.5 2.5v11l9-5.5z")],
  opening: [line("M3 8h9M8 4l4.5 4L8 12", 1.8)],
  resetting: [line("M12.5 5A5.2 5.2 0 1 0 13.2 8M13 2v3.4H9.6", 1.8)],
  checking: [line("M5.3 6a2.7 2.7 0 1 1 4.2 2.3C8.4 9 8 9.5 8 10.4", 1.8), dot(13, 1.2)],
  closing: [line("M4 8h8")],
  dead: [line("M4 4l8 8M12 4l-8 8")],
  forgotten: [line("M8 2.5v7", 2.4), dot(13, 1.5)],
  empty: [],
  served: [line("M3 8.5l3.5 3.5L13 4.5")],
  timedOut: [ring(6), line("M8 4.5V8l2.5 2", 1.8)],
  failed: [line("M4 4l8 8M12 4l-8 8")],
  refused: [ring(6), line("M4 12l8-8", 1.8)],
};

function made(tag, attributes, ...children) {
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Adds the signs to the document, once, before the first picture. */
export function addSymbols() {
  const symbols = Object.entries(signs).map(([name, shapes]) =>
    made(
      "symbol",
      { id: `icon-${name}`, viewBox: "0 0 16 16" },
      ...shapes.map(([tag, attributes]) => made(tag, attributes)),
    ),
  );
  document.body.prepend(made("svg", { class: "symbols", "aria-hidden": "true" }, ...symbols));
}

/** The sign of this name, for the eye alone. */
export const sign = (name) => made("svg", { "aria-hidden": "true" }, made("use", { href: `#icon-${name}` }));
