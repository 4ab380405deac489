// Makes the inputs of every setting from the list in settings.js. Reports the visitor's choices and shows the current
// values. Hides the options that a kind of pool does not have. Called by main.js.

import { comparisons, settings, written } from "./settings.js";

const groups = [
  { of: "world", title: "Load and database" },
  { of: "pool", title: "Pool" },
];
/** The options that a visitor sees first; the others are folded. */
const first = new Set(["kind", "poolSize", "maxOverflow", "timeout", "maxWaiters", "useLifo"]);

export class Controls {
  #rows = new Map();

  /** `choose(name, text)` is called with a setting and its new value as the link writes it. */
  constructor(element, choose) {
    for (const { of, title } of groups) {
      const group = document.createElement("fieldset");
      group.append(textIn("legend", title));
      const folded = document.createElement("details");
      folded.append(textIn("summary", "More options"));
      for (const [name, setting] of Object.entries(settings)) {
        if (setting.of !== of) continue;
        const row = makeRow(name, setting, choose);
        this.#rows.set(name, row);
        (of === "world" || first.has(name) ? group : folded).append(row.element);
      }
      if (folded.childElementCount > 1) group.append(folded);
      element.append(group);
    }
  }

  /** Shows the current settings; a comparison fixes some of them. */
  show(values, compare) {
    const fixed = comparisons[compare].first ?? {};
    const kinds = compare === "nullPool" ? ["QueuePool", "NullPool"] : [fixed.kind ?? values.kind];
    for (const [name, row] of this.#rows) {
      row.show(values[name]);
      row.element.hidden =
        settings[name].kinds !== undefined && !kinds.some((kind) => settings[name].kinds.includes(kind));
      row.input.disabled = name in fixed;
      row.element.title = name in fixed ? "The comparison fixes this setting" : "";
    }
  }
}

function makeRow(name, setting, choose) {
  const element = document.createElement("label");
  element.className = "setting";
  const words = document.createElement("span");
  words.className = "setting-name";
  if (setting.option) words.append(textIn("code", name), " ", textIn("small", setting.label));
  else words.append(setting.label);
  // Only for the eye: a screen reader reads the slider.
  const shown = Object.assign(document.createElement("span"), { className: "setting-value", ariaHidden: "true" });
  element.htmlFor = `setting-${name}`;
  const { stops, choices } = setting;

  if (stops) {
    const input = Object.assign(document.createElement("input"), {
      type: "range",
      min: "0",
      max: String(stops.length - 1),
      step: "1",
    });
    identify(input, name);
    const tell = (value) => {
      shown.textContent = setting.show(value);
      input.setAttribute("aria-valuetext", setting.show(value));
    };
    input.addEventListener("input", () => {
      tell(stops[input.value]);
      // The load changes while the slider moves. A pool is replaced, so its options wait until the slider is released.
      if (setting.of === "world") choose(name, written(stops[input.value]));
    });
    if (setting.of === "pool") input.addEventListener("change", () => choose(name, written(stops[input.value])));
    element.append(words, shown, input);
    return {
      element,
      input,
      show: (value) => {
        input.value = String(placeOf(stops, value));
        tell(value);
      },
    };
  }

  if (choices) {
    const input = identify(document.createElement("select"), name);
    for (const choice of choices)
      input.append(Object.assign(document.createElement("option"), { value: choice, textContent: choice }));
    input.addEventListener("change", () => choose(name, input.value));
    element.append(words, input);
    return { element, input, show: (value) => void (input.value = value) };
  }

  const input = Object.assign(document.createElement("input"), { type: "checkbox" });
  identify(input, name);
  input.addEventListener("change", () => choose(name, written(input.checked)));
  element.classList.add("is-flag");
  if (setting.hint) words.append(" ", textIn("small", setting.hint));
  element.append(input, words);
  return { element, input, show: (value) => void (input.checked = value) };
}

const identify = (input, name) => Object.assign(input, { name, id: `setting-${name}` });
const textIn = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });

/** Returns the place of a value, or of the nearest stop if a link has a value between two stops. */
function placeOf(stops, value) {
  const exact = stops.indexOf(value);
  if (exact >= 0) return exact;
  const distance = (stop) => (Number.isFinite(stop) ? Math.abs(stop - value) : Infinity);
  return stops.reduce((best, stop, place) => (distance(stop) < distance(stops[best]) ? place : best), 0);
}
