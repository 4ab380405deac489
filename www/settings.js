// Every setting of the experiment: its name in the link, the words for it, the values that a visitor can choose, and the
// one at the start. controls.js makes the inputs of it, link.js reads and writes it, watched-pool.js turns it into the
// options of a pool.

const percent = (value) => `${value} %`;
const duration = (ms) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`);
const orWords = (words, show) => (value) => (value in words ? words[value] : show(value));
const range = (first, last) => Array.from({ length: last - first + 1 }, (_, place) => first + place);

/** All a pool of any kind may be given. */
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
    label: "Callers who never give back",
    stops: [0, 1, 2, 5, 10, 20, 50],
    start: 0,
    show: percent,
  },
  silent: { of: "world", label: "A connection dies silently", hint: "only a ping or a query finds out", start: false },

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
    show: orWords({ 0: "do not wait", null: "for ever" }, duration),
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

/** Two panes: what the second one has differently. */
export const comparisons = {
  one: { label: "One pool", second: undefined },
  lifo: {
    label: "FIFO | LIFO",
    first: { kind: "QueuePool", useLifo: false },
    second: { kind: "QueuePool", useLifo: true },
  },
  nullPool: { label: "QueuePool | NullPool", first: { kind: "QueuePool" }, second: { kind: "NullPool" } },
};

/** A value as the link has it. */
export const written = (value) => (value === true ? "yes" : value === false ? "no" : String(value));

/** The value that a link means; undefined where it is none for this setting. */
export function readValue(name, text) {
  const setting = settings[name];
  if (setting === undefined) return undefined;
  const known = setting.choices ?? setting.stops ?? [true, false];
  const exact = known.find((value) => written(value) === text);
  if (exact !== undefined || setting.stops === undefined) return exact;
  // Between two stops, as somebody wrote it by hand: a pool takes whole numbers only.
  const numbers = setting.stops.filter(Number.isFinite);
  const number = /^-?\d+$/.test(text) ? Number(text) : NaN;
  return number >= Math.min(...numbers) && number <= Math.max(...numbers) ? number : undefined;
}

/** Durations reach the pool as text with their unit: a bare number would be seconds. */
const inMillis = new Set(["timeout", "idleTimeout", "recycle", "deadline"]);

/** The options for a pool of this kind; what does not concern it is left out, and so is "never". */
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
