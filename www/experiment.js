// Runs one experiment: settings, seed, panes, load, and the script of its changes. Each act of a visitor becomes a line
// of the script. The same script brings the same experiment to the same moment, so a link can restore it (link.js).
// main.js moves it frame by frame, controls.js acts on it.

import { Load } from "./load.js";
import { comparisons, readValue, settings, written } from "./settings.js";
import { settled, VirtualTime } from "./virtual-time.js";
import { WatchedPool } from "./watched-pool.js";

/** The acts beside the change of a setting. */
const deeds = {
  kill: (panes, value) => onOne(panes, value, (pane, id) => pane.kill(id)),
  giveBack: (panes, value) => onOne(panes, value, (pane, id) => pane.giveBack(id)),
  restart: (panes) => panes.forEach(({ database }) => database.restart()),
  invalidateAll: (panes) => panes.forEach(({ pool }) => pool.invalidateAll("the visitor asked for it")),
  dispose: (panes) => panes.forEach(({ pool }) => void pool.dispose()),
};

const words = {
  restart: "the server restarts",
  invalidateAll: "invalidateAll(): every connection is replaced at its next checkout",
  dispose: "dispose(): idle connections are closed",
};

/** "B7": connection 7 of pane B. */
function onOne(panes, value, act) {
  const pane = panes.find(({ name }) => name === value[0]);
  if (pane) act(pane, Number(value.slice(1)));
}

const isDeed = (name) => Object.hasOwn(deeds, name);
const isSetting = (name) => Object.hasOwn(settings, name);
export const isAction = (name) => isDeed(name) || isSetting(name);

export class Experiment {
  time = new VirtualTime();
  panes = [];
  /** Lines of the log, oldest first: the moment, the pane ("" for both), the text, whether it is notable. */
  lines = [];
  linesWritten = 0;
  /** Counts changes of settings, by the visitor or by the script. */
  changes = 0;
  #load;
  /** For each pane: the settings that the comparison fixes, and all current settings. */
  #sides;
  /** The first line of the script that has not happened yet. */
  #next = 0;
  /** The lines of the script that the visitor added; the others are from the beginning. */
  #own = new Set();

  /** `initial`: the settings at the first moment; `script`: the later changes, in order of time. */
  constructor({ initial, seed, compare, script }) {
    this.initial = { ...initial };
    this.current = { ...initial };
    this.seed = seed;
    this.compare = compare;
    this.script = script.map(({ at, action, value = "" }) => ({ at, action, value }));
    const { first, second } = comparisons[compare];
    const sides = second ? [first, second] : [{}];
    this.#sides = sides.map((differences) => ({ differences, values: { ...initial, ...differences } }));
    this.panes = this.#sides.map(
      (side, place) => new WatchedPool("AB"[place], this.time, seed, () => side.values, this.#log),
    );
    this.#load = new Load(this.time, seed, () => this.current);
    this.#load.onArrival = (arrival) => {
      for (const pane of this.panes) void pane.serve(arrival);
    };
  }

  get now() {
    return this.time.now;
  }

  /** The script at the beginning of the experiment. */
  get given() {
    return this.script.filter((entry) => !this.#own.has(entry));
  }

  /** Whether the visitor has changed a setting. */
  get isChanged() {
    return [...this.#own].some(({ action }) => isSetting(action));
  }

  /** The experiment from its first moment, with the visitor's settings, and without the visitor's other acts. */
  get restarted() {
    const initial = { ...this.initial };
    for (const { action, value } of this.#own)
      if (isSetting(action)) initial[action] = readValue(action, value) ?? initial[action];
    return { initial, seed: this.seed, compare: this.compare, script: this.given };
  }

  /** Performs an action now, and adds it to the script. */
  perform(action, value = "") {
    const last = this.script[this.#next - 1];
    const { of, steersLoad } = settings[action] ?? {};
    // A setting that is only read later has one value at a moment, so a moving slider leaves one line. A new pool or a
    // new arrival has immediate consequences, so each change is a line.
    if (of === "world" && !steersLoad && this.#own.has(last) && last.at === this.now && last.action === action) {
      last.value = value;
      if (this.lines.at(-1)?.about === last) this.lines.pop();
    } else {
      const entry = { at: this.now, action, value };
      this.#own.add(entry);
      this.script.splice(this.#next++, 0, entry);
    }
    this.#apply(this.script[this.#next - 1]);
  }

  #apply(entry) {
    const { action, value } = entry;
    if (isDeed(action)) {
      this.#log(
        "",
        words[action] ?? `${action === "kill" ? "kill connection" : "give back connection"} ${value}`,
        true,
      );
      deeds[action](this.panes, value);
      return;
    }
    const chosen = readValue(action, value);
    if (chosen === undefined || chosen === this.current[action]) return;
    this.current[action] = chosen;
    this.changes++;
    for (const side of this.#sides) side.values = { ...this.current, ...side.differences };
    const setting = settings[action];
    const name = setting.option ? action : setting.label.toLowerCase();
    this.#log("", `${name} is now ${setting.show ? setting.show(chosen) : written(chosen)}`, true, entry);
    if (setting.of === "pool") this.panes.forEach((pane) => pane.rebuild());
    else if (setting.steersLoad) this.#load.changed();
  }

  /**
   * Moves on to `end`, a whole millisecond, while `mayGoOn` returns true. Stops only at whole milliseconds, after
   * everything that was due, so that a line of the script is at a repeatable moment.
   */
  async advance(end, mayGoOn) {
    await settled();
    while (this.now < end && mayGoOn()) {
      const planned = this.script[this.#next];
      const stop = Math.min(
        end,
        Math.max(this.now, planned?.at ?? Infinity),
        Math.max(this.now + 1, Math.ceil(this.time.nextDue)),
      );
      await this.time.advanceTo(stop);
      for (let due; (due = this.script[this.#next]) && due.at <= this.now;) {
        this.#next++;
        this.#apply(due);
        await settled();
      }
    }
  }

  /** Moves on to the next moment with a line of the log; returns whether there was one. */
  async step() {
    const before = this.linesWritten;
    let stepsLeft = 2000;
    await this.advance(
      Infinity,
      () => stepsLeft-- > 0 && this.linesWritten === before && (this.time.isAwaited || this.#next < this.script.length),
    );
    return this.linesWritten !== before;
  }

  /** Adds a line to the log. `about`: the line of the script that it reports. */
  #log = (pane, text, isNotable, about) => {
    this.linesWritten++;
    this.lines.push({ at: this.now, pane, text, isNotable, about });
    if (this.lines.length > 1000) this.lines.splice(0, 500);
  };
}
