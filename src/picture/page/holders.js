// The leases that have been out for longest, each with the stack of its checkout if the pool keeps stacks. An item that
// the reader has opened stays open. Only changes reach the document.

import { seconds } from "../charts.js";

const shown = 5;
const roundingMs = 25;
const hint = 'The option trackLeaks: "stack" would show where they were checked out.';

export class Holders {
  element = document.createElement("section");
  #list = document.createElement("ol");
  #hint = Object.assign(document.createElement("p"), { className: "hint" });
  /** By the key of a lease. */
  #items = new Map();
  /** By connection: the key of its lease, and since when that has been out. */
  #latest = new Map();

  constructor() {
    const name = Object.assign(document.createElement("h3"), { textContent: "Longest out" });
    this.element.className = "holders";
    this.element.append(name, this.#list, this.#hint);
  }

  /** The longest come first, and new ones are younger: so no item moves, and none loses the focus. */
  draw(pane) {
    const leases = pane.oldestLeases.slice(0, shown);
    const kept = new Set();
    for (const lease of leases) {
      const key = this.#keyOf(lease);
      kept.add(key);
      let item = this.#items.get(key);
      if (item === undefined) {
        this.#items.set(key, (item = makeItem(lease)));
        this.#list.append(item.element);
      }
      write(item.age, `connection ${lease.id}, for ${seconds(lease.ms)}`);
    }
    for (const [key, item] of this.#items) {
      if (kept.has(key)) continue;
      const { element, age, id } = item;
      // The reader is in it.
      if (element.contains(document.activeElement) || element.querySelector("[open]") !== null) {
        write(age, `connection ${id}, returned`);
        continue;
      }
      element.remove();
      this.#items.delete(key);
    }
    write(this.#hint, leases.length === 0 ? "no lease is out" : pane.hasStacks ? "" : hint);
  }

  /** A lease that began at another moment is another one. */
  #keyOf({ id, since }) {
    const latest = this.#latest.get(id);
    if (latest !== undefined && Math.abs(latest.since - since) < roundingMs) return latest.key;
    const key = `${id} since ${since}`;
    this.#latest.set(id, { key, since });
    return key;
  }
}

/** A frame of the pool itself. */
const own = /^at (async )?(use of .*\(pool \d+\)|\w*Pool\.(use|connect))/;

/** The first line of the caller's own code. */
function whereOf(stack) {
  const lines = stack.split("\n").map((line) => line.trim());
  return lines.find((line) => !own.test(line)) ?? lines[0];
}

function makeItem({ id, stack }) {
  const element = document.createElement("li");
  const age = document.createElement("b");
  if (stack === undefined) {
    element.append(age);
    return { id, element, age };
  }
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const where = Object.assign(document.createElement("code"), { textContent: whereOf(stack) });
  const whole = Object.assign(document.createElement("pre"), { className: "stack", textContent: stack, tabIndex: 0 });
  summary.append(age, " ", where);
  details.append(summary, whole);
  element.append(details);
  return { id, element, age };
}

function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
