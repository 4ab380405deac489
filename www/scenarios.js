// The scenarios behind the buttons: their settings at the start, and their later changes. Also the text about an
// experiment, with or without a scenario. experiment.js runs them. A scenario is a link with a name.

import { defaults, settings } from "./settings.js";

export const scenarios = [
  {
    name: "Normal day",
    says:
      "The load comes in waves. At each crest the pool opens its overflow. " +
      "Then callers wait, and a few run out of patience.",
    set: {},
    script: [],
  },
  {
    name: "Calm",
    says: "There are fewer callers than connections. Once the first connections are open, no caller waits.",
    set: { rate: 4, waves: 0 },
    script: [],
  },
  {
    name: "Rush hour",
    says: "There are more callers than the pool can serve. The queue grows, and some callers run out of patience.",
    set: { rate: 14, waves: 30, timeout: 3000 },
    script: [],
  },
  {
    name: "Database slows down",
    says:
      "After 4 seconds every query takes five times as long, for 8 seconds. " +
      "Watch how long the queue needs to recover.",
    set: { rate: 8, waves: 0, timeout: 3000 },
    script: [
      { at: 4000, action: "query", value: "1500" },
      { at: 12_000, action: "query", value: "300" },
    ],
  },
  {
    name: "Server restarts",
    says:
      "After 4 seconds every connection breaks, and for 2 seconds none can be opened. " +
      "The pool replaces them by itself.",
    set: { rate: 8, waves: 0, timeout: 3000 },
    script: [{ at: 4000, action: "restart" }],
  },
  {
    name: "Leak",
    says: "One caller in twenty never returns its connection. In the end no caller gets one.",
    set: { rate: 8, waves: 0, leaks: 5, timeout: 3000 },
    script: [],
  },
];

/** What a comparison starts with: a load on which the two differ visibly, within seconds. */
export const comparisonStarts = {
  one: { says: scenarios[0].says, set: {}, script: [] },
  lifo: {
    says: "Both panes have the same callers; after a second there are fewer.",
    shows: "FIFO keeps all connections busy in turn. LIFO leaves the surplus idle until the pool closes it.",
    set: { rate: 14, waves: 0, query: 150, poolSize: 8, maxOverflow: 0, idleTimeout: 2000 },
    script: [{ at: 1000, action: "rate", value: "6" }],
  },
  nullPool: {
    says: "Both panes have the same callers.",
    shows: "Without a pool every caller waits for a connection of its own to open.",
    set: { rate: 6, waves: 40, poolSize: 8, maxOverflow: 7, connect: 600 },
    script: [],
  },
};

const isSameLine = (one, other) =>
  one.at === other.at && one.action === other.action && (one.value ?? "") === (other.value ?? "");
const has = (script, part) => part.every((line) => script.some((other) => isSameLine(line, other)));
const isSame = (initial, set) =>
  Object.entries({ ...defaults, ...set }).every(([name, value]) => initial[name] === value);

/** Describes an experiment. `scenario`: its name, if any. `isOwn`: whether it has the visitor's settings. */
export function storyOf({ compare, initial, given, isChanged }) {
  // A link has the visitor's changes in its script.
  const isOtherThan = (script) =>
    isChanged || given.some((line) => Object.hasOwn(settings, line.action) && !has(script, [line]));
  if (compare !== "one") {
    const { says, shows, set, script } = comparisonStarts[compare];
    const isOwn = isOtherThan(script) || !isSame(initial, set) || !has(given, script);
    return { isOwn, says: `${isOwn ? "Both panes have the same callers, with your settings." : says} ${shows}` };
  }
  const found = scenarios
    .toReversed()
    .find(({ set, script }) => has(given, script) && (script.length > 0 || isSame(initial, set)));
  if (found === undefined) return { isOwn: true, says: "Your own settings." };
  const { name, says, set, script } = found;
  if (!isSame(initial, set)) return { isOwn: true, says: `“${name}” with your settings. ${says}` };
  return isOtherThan(script)
    ? { isOwn: true, says: `“${name}”, changed by you. It begins like this: ${says}` }
    : { isOwn: false, scenario: name, says };
}

/** Returns the start of another comparison: the visitor's settings, if any, else settings that show the difference. */
export function toCompare(compare, experiment) {
  const { isOwn } = storyOf(experiment);
  const { initial, seed, script } = experiment.restarted;
  const start = comparisonStarts[compare];
  if (!isOwn) return { initial: { ...defaults, ...start.set }, seed, compare, script: start.script };
  // The own script of a comparison ends with it.
  const before = compare === experiment.compare ? [] : comparisonStarts[experiment.compare].script;
  return { initial, seed, compare, script: script.filter((line) => !has(before, [line])) };
}
