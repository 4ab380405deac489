// One experiment from its first moment on: settings, seed, panes, load, and the script of what was changed when. What a
// visitor does becomes a line of the script, so that the same script brings the same experiment to the same moment: that
// is how a link restores it (link.js). main.js moves it frame by frame, controls.js acts on it.

import { Load } from "./load.js";
import { comparisons, readValue, settings, written } from "./settings.js";
import { settled, VirtualTime } from "./virtual-time.js";
import { WatchedPool } from "./watched-pool.js";

/** What can happen beside the change of a setting. */
const deeds = {
  kill: (panes, value) => onOne(panes, value, (pane, id) => pane.kill(id)),
  giveBack: (panes, value) => onOne(panes, value, (pane, id) => pane.giveBack(id)),
  restart: (panes) => panes.forEach(({ database }) => database.restart()),
  invalidateAll: (panes) => panes.forEach(({ pool }) => pool.invalidateAll("the visitor's wish")),
  dispose: (panes) => panes.forEach(({ pool }) => void pool.dispose()),
};

const words = {
  restart: "the server restarts",
  invalidateAll: "invalidateAll(): every connection is replaced at its next checkout",
  dispose: "dispose(): what is idle is closed",
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
  /** Lines of the log, oldest first: the moment, the pane ("" for both), the words, whether they stand out. */
  lines = [];
  linesTold = 0;
  /** How often a setting was changed, by the visitor or by the script. */
  changes = 0;
  #load;
  /** Of each pane: what the comparison fixes, and all of its settings as they are now. */
  #sides;
  /** The first line of the script that has not happened yet. */
  #next = 0;
  /** The lines of the script that the visitor wrote; the others were there from the beginning. */
  #own = new Set();

  /** `initial`: the settings at the first moment; `script`: what happens later, in order of time. */
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
      (side, place) => new WatchedPool("AB"[place], this.time, seed, () => side.values, this.#tell),
    );
    this.#load = new Load(this.time, seed, () => this.current);
    this.#load.onArrival = (arrival) => {
      for (const pane of this.panes) void pane.serve(arrival);
    };
  }

  get now() {
    return this.time.now;
  }

  /** The script that it began with. */
  get given() {
    return this.script.filter((entry) => !this.#own.has(entry));
  }

  /** Whether the visitor has changed a setting. */
  get isChanged() {
    return [...this.#own].some(({ action }) => isSetting(action));
  }

  /** The same from the first moment on, with what the visitor has set: what he did besides is over. */
  get anew() {
    const initial = { ...this.initial };
    for (const { action, value } of this.#own)
      if (isSetting(action)) initial[action] = readValue(action, value) ?? initial[action];
    return { initial, seed: this.seed, compare: this.compare, script: this.given };
  }

  /** Does it now, and writes it into the script. */
  perform(action, value = "") {
    const last = this.script[this.#next - 1];
    const { of, steersLoad } = settings[action] ?? {};
    // What is only looked up later has one value at a moment, however a slider moved there. A new pool or a new arrival
    // has consequences at once, and is written down each time.
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
      this.#tell(
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
    this.#tell(
      "",
      `${setting.option ? action : setting.label.toLowerCase()} is now ${setting.show ? setting.show(chosen) : written(chosen)}`,
      true,
      entry,
    );
    if (setting.of === "pool") this.panes.forEach((pane) => pane.rebuild());
    else if (setting.steersLoad) this.#load.changed();
  }

  /**
   * Moves on to `end`, a whole millisecond, for as long as `mayGoOn` says so. It stops at whole milliseconds only, with
   * everything done that was due, so that a line of the script stands at a moment that can be repeated.
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

  /** Moves on to the next moment at which something happens; answers whether it came to one. */
  async step() {
    const told = this.linesTold;
    let stepsLeft = 2000;
    await this.advance(
      Infinity,
      () => stepsLeft-- > 0 && this.linesTold === told && (this.time.isAwaited || this.#next < this.script.length),
    );
    return this.linesTold !== told;
  }

  /** `about`: the line of the script that it tells of. */
  #tell = (pane, text, isNotable, about) => {
    this.linesTold++;
    this.lines.push({ at: this.now, pane, text, isNotable, about });
    if (this.lines.length > 1000) this.lines.splice(0, 500);
  };
}
