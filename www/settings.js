// Every setting of the experiment: its name in the link, its label, the values that a visitor can choose, and the first
// one. controls.js makes the inputs, link.js reads and writes the values, watched-pool.js turns them into a pool's
// options.

const percent = (value) => `${value} %`;
const duration = (ms) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`);
const orWords = (words, show) => (value) => (value in words ? words[value] : show(value));
const range = (first, last) => Array.from({ length: last - first + 1 }, (_, place) => first + place);

/** Every kind of pool. */
const every = ["QueuePool", "NullPool", "SingletonThreadPool", "StaticPool", "AssertionPool"];
const reusing = every.filter((kind) => kind !== "NullPool");
const queue = ["QueuePool"];

export const settings = {
  rate: {
    of: "world",
    steersLoad: true,
    label: "Callers per second",
    stops: [...range(0, 20), 25, 30, 35, 40, 50, 60, 80, 100, 150, 200, 300, 400, 500],
    start: 8,
    show: String,
  },
  waves: {
    of: "world",
    steersLoad: true,
    label: "Load swings by",
    stops: [0, 20, 40, 60, 80, 100],
    start: 60,
    show: percent,
  },
  query: {
    of: "world",
    label: "Query time",
    stops: [1, 2, 5, 10, 20, 50, 100, 150, 200, 250, 300, 400, 500, 600, 800, 1000, 1500, 2000, 3000, 5000],
    start: 300,
    show: duration,
  },
  connect: {
    of: "world",
    label: "Time to connect",
    stops: [0, 10, 20, 50, 100, 200, 300, 400, 600, 800, 1000, 1500, 2000, 5000],
    start: 400,
    show: duration,
  },
  queryFailures: {
    of: "world",
    label: "Queries that fail",
    stops: [0, 1, 2, 5, 10, 20, 50, 100],
    start: 0,
    show: percent,
  },
  openFailures: {
    of: "world",
    label: "Openings that fail",
    stops: [0, 1, 2, 5, 10, 20, 50, 100],
    start: 0,
    show: percent,
  },
  leaks: {
    of: "world",
    label: "Leases never returned",
    stops: [0, 1, 2, 5, 10, 20, 50],
    start: 0,
    show: percent,
  },
  silent: { of: "world", label: "A connection dies silently", hint: "only a ping or a query detects it", start: false },

  kind: { of: "pool", label: "Kind of pool", choices: every, start: "QueuePool", kinds: every },
  poolSize: {
    of: "pool",
    option: true,
    label: "kept open",
    stops: [0, ...range(1, 12), 15, 20, 25, 30, 40, 50, 60, 80, 100],
    start: 5,
    show: orWords({ 0: "no limit" }, String),
    kinds: [...queue, "SingletonThreadPool"],
  },
  maxOverflow: {
    of: "pool",
    option: true,
    label: "more under load",
    stops: [-1, ...range(0, 10), 15, 20, 30, 40, 50, 100],
    start: 3,
    show: orWords({ "-1": "no limit" }, String),
    kinds: queue,
  },
  timeout: {
    of: "pool",
    option: true,
    label: "patience in the queue",
    stops: [0, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 10_000, 30_000, 60_000, null],
    start: 1000,
    show: orWords({ 0: "do not wait", null: "no limit" }, duration),
    kinds: queue,
  },
  maxWaiters: {
    of: "pool",
    option: true,
    label: "queue at most",
    stops: [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, Infinity],
    start: Infinity,
    show: orWords({ Infinity: "no limit" }, String),
    kinds: queue,
  },
  useLifo: { of: "pool", option: true, label: "lend the latest first", start: false, kinds: queue },
  prePing: { of: "pool", option: true, label: "check before lending", start: false, kinds: reusing },
  resetOnReturn: {
    of: "pool",
    option: true,
    label: "an open transaction",
    choices: ["rollback", "commit", "none"],
    start: "rollback",
    kinds: every,
  },
  idleTimeout: {
    of: "pool",
    option: true,
    label: "close when unused for",
    stops: [1000, 2000, 3000, 5000, 10_000, 30_000, 60_000, null],
    start: null,
    show: orWords({ null: "never" }, duration),
    kinds: queue,
  },
  minIdle: {
    of: "pool",
    option: true,
    label: "but keep idle",
    stops: range(0, 10),
    start: 0,
    show: String,
    kinds: queue,
  },
  recycle: {
    of: "pool",
    option: true,
    label: "replace when older than",
    stops: [1000, 2000, 5000, 10_000, 30_000, 60_000, -1],
    start: -1,
    show: orWords({ "-1": "never" }, duration),
    kinds: reusing,
  },
  maxUses: {
    of: "pool",
    option: true,
    label: "close after uses",
    stops: [1, 2, 3, 5, 10, 20, 50, 100, Infinity],
    start: Infinity,
    show: orWords({ Infinity: "never" }, String),
    kinds: queue,
  },
  maxConnecting: {
    of: "pool",
    option: true,
    label: "open at once",
    stops: [1, 2, 3, 5, 10, Infinity],
    start: Infinity,
    show: orWords({ Infinity: "no limit" }, String),
    kinds: queue,
  },
  deadline: {
    of: "pool",
    option: true,
    label: "whole checkout within",
    stops: [200, 500, 1000, 2000, 3000, 5000, 10_000, 30_000, null],
    start: null,
    show: orWords({ null: "no limit" }, duration),
    kinds: every,
  },
};

/** The settings at the start. */
export const defaults = Object.fromEntries(Object.entries(settings).map(([name, { start }]) => [name, start]));

/** The comparisons: the settings that each pane fixes. */
export const comparisons = {
  one: { label: "One pool", second: undefined },
  lifo: {
    label: "FIFO | LIFO",
    first: { kind: "QueuePool", useLifo: false },
    second: { kind: "QueuePool", useLifo: true },
  },
  nullPool: { label: "QueuePool | NullPool", first: { kind: "QueuePool" }, second: { kind: "NullPool" } },
};

/** Writes a value for the link. */
export const written = (value) => (value === true ? "yes" : value === false ? "no" : String(value));

/** Reads a value of a link; undefined if this setting does not allow it. */
export function readValue(name, text) {
  const setting = settings[name];
  if (setting === undefined) return undefined;
  const known = setting.choices ?? setting.stops ?? [true, false];
  const exact = known.find((value) => written(value) === text);
  if (exact !== undefined || setting.stops === undefined) return exact;
  // A value between two stops was written by hand. A pool takes only whole numbers.
  const numbers = setting.stops.filter(Number.isFinite);
  const number = /^-?\d+$/.test(text) ? Number(text) : NaN;
  return number >= Math.min(...numbers) && number <= Math.max(...numbers) ? number : undefined;
}

/** Durations reach the pool as text with their unit, because a bare number would mean seconds. */
const inMillis = new Set(["timeout", "idleTimeout", "recycle", "deadline"]);

/** Returns the options for a pool of this kind, without those of other kinds and without "never". */
export function poolOptions(values) {
  const options = {};
  for (const [name, { option, kinds }] of Object.entries(settings)) {
    const value = values[name];
    if (!option || !kinds.includes(values.kind) || (name === "idleTimeout" && value === null)) continue;
    options[name] = inMillis.has(name) && value !== null && value !== -1 ? `${value}ms` : value;
  }
  if (values.kind === "SingletonThreadPool") options.poolSize = Math.max(1, options.poolSize);
  return options;
}
