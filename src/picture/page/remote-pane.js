// One pool of the stream as a pane of the picture: keeps each connection in its place from picture to picture, and the
// numbers of the last minute. Decides nothing: the server's pool does. main.js makes one for each pool.

import { stateWords } from "../cells.js";
import { perSecond, seconds } from "../charts.js";

const pointMs = 500;
const spanMs = 60_000;
/** The rates cover so much time, so that they do not jump. */
const rateMs = 2000;
const mostToLeave = 200;

export const charts = [
  { name: "Longest wait", lines: [{ of: "wait", colour: "urgent", isFilled: true }], show: seconds, atLeast: 100 },
  {
    name: "In use",
    lines: [{ of: "used", colour: "used", isFilled: true }],
    show: (value) => String(value ?? 0),
    atLeast: 4,
    hasLimits: true,
  },
  {
    name: "Leases given",
    lines: [{ of: "served", colour: "served", isFilled: true }],
    show: (value) => perSecond(value ?? 0),
    atLeast: 4,
  },
  {
    name: "Connections opened",
    lines: [{ of: "opened", colour: "opening", isFilled: true }],
    show: (value) => perSecond(value ?? 0),
    atLeast: 4,
  },
];

/** The counter behind each ending. */
const counters = { served: "checkouts", timedOut: "timedOut", failed: "openFailed", refused: "aborted" };

const kinds = {
  QueuePool: "",
  NullPool: "opens for every caller, closes at every return",
  SingletonThreadPool: "one connection for each scope",
  StaticPool: "one connection, shared by all callers",
  AssertionPool: "one caller at a time; a second one is an error",
};

const noStats = {
  total: 0,
  idle: 0,
  used: 0,
  returning: 0,
  opening: 0,
  closing: 0,
  waiting: 0,
  detached: 0,
  max: null,
};

export class RemotePane {
  charts = charts;
  endings = { served: "leases given", timedOut: "timed out", failed: "openings failed", refused: "aborted" };
  invitation = "Pick a connection to see its state, and its lease.";
  whenNobodyWaits = "no callers wait";
  places = [];
  leftovers = [];
  lastToLeave = [];
  series = { points: [], spanMs };
  /** When the longest wait and the oldest lease began to be known; undefined if there is none. */
  #seen = { stats: noStats };
  #now = 0;
  /** The latest counts, for the rates. */
  #counts = [];

  /** Takes the pool's state at a moment of the server's clock. */
  take(seen, now) {
    const before = this.#seen.stats;
    this.#seen = { waiters: [], slots: [], ...seen, stats: seen.stats ?? noStats };
    this.#now = now;
    this.#arrange();
    this.#noteLeaving(before);
    this.#notePoint();
  }

  get name() {
    return this.#seen.name;
  }

  get title() {
    return this.#seen.name;
  }

  get motto() {
    const { kind, lifo, patienceMs } = this.#seen;
    const order =
      kind === "QueuePool" ? (lifo ? "the latest returned first (LIFO)" : "the longest idle first (FIFO)") : "";
    const patience =
      patienceMs === null || patienceMs === undefined
        ? "callers wait without a limit"
        : `callers wait up to ${seconds(patienceMs)}`;
    return [kind, kinds[kind] || order, kind === "QueuePool" ? patience : ""].filter(Boolean).join(" · ");
  }

  get notice() {
    const { crash, isClosed, stats } = this.#seen;
    if (crash !== undefined) return `the pool has crashed: ${crash}`;
    if (!isClosed) return "";
    return stats.total + stats.waiting + stats.detached === 0 ? "the pool is closed" : "the pool is being closed";
  }

  get keptHint() {
    const { kind, kept } = this.#seen;
    if (kind !== "QueuePool") return kinds[kind];
    return kept === null ? "opened as needed, no limit" : "kept open";
  }

  get stats() {
    return this.#seen.stats;
  }

  get limits() {
    const max = this.#seen.stats.max ?? Infinity;
    return { kept: this.#seen.kept ?? max, max };
  }

  get left() {
    return Object.fromEntries(Object.entries(counters).map(([ending, name]) => [ending, this.stats[name] ?? 0]));
  }

  get patienceMs() {
    return this.#seen.patienceMs ?? Infinity;
  }

  /** For how long the first waiter has waited, as far as it was seen; null without waiters. */
  get longestWaitMs() {
    const [first] = this.#seen.waiters;
    return first === undefined ? null : this.#now - first[1];
  }

  get oldestLeaseMs() {
    return this.#seen.oldestLeaseMs ?? null;
  }

  /** The leases that have been out for longest, the oldest first. */
  get oldestLeases() {
    return this.#seen.slots
      .filter(({ ms }) => ms !== undefined)
      .map((slot) => ({ ...slot, since: this.#now - slot.ms }))
      .sort((one, other) => one.since - other.since);
  }

  /** Whether any stack of a checkout is known. */
  get hasStacks() {
    return this.#seen.slots.some(({ stack }) => stack !== undefined);
  }

  /** The waiters, the first in the queue first. Their numbers count all that have waited. */
  *queue() {
    const { waited, waiting } = this.stats;
    let id = waited - waiting;
    for (const [count, askedAt] of this.#seen.waiters)
      for (let one = 0; one < count; one++) yield { id: ++id, askedAt };
  }

  nameOf({ id }) {
    return id > 0 ? `Connection ${id}` : "A connection";
  }

  stateOf({ state }) {
    return state;
  }

  holderOf({ ms, state }) {
    return state === "used" && ms !== undefined ? seconds(ms) : "";
  }

  describe(connection) {
    const now = this.places.find((other) => other !== undefined && other.key === connection.key);
    const name = this.nameOf(connection);
    if (now === undefined) return { text: `${name} is closed.` };
    if (now.isElsewhere)
      return {
        text: `${name} of another request, or on its way: its state is all that is known (${stateWords[now.state]}).`,
      };
    const age = now.openedAt > 0 ? `, open since ${new Date(now.openedAt).toLocaleTimeString("en-GB")}` : "";
    const out = now.ms === undefined ? "" : `, its lease out for at least ${seconds(now.ms)}`;
    return { text: `${name} is ${stateWords[now.state]}${out}${age}.`, stack: now.stack };
  }

  // ---- places

  /** Lets each connection stay in its place, and fills the kept places first. */
  #arrange() {
    const wanted = this.#connections();
    const { places } = this;
    const kept = this.limits.kept;
    for (const [place, old] of places.entries()) {
      const now = old && wanted.get(old.key);
      // The same object as long as it is the same connection: the picture compares them.
      places[place] = now && Object.assign(old, { ms: undefined, stack: undefined }, now);
      if (now) wanted.delete(old.key);
    }
    for (const connection of wanted.values()) {
      const free = places.indexOf(undefined);
      places[free < 0 ? places.length : free] = connection;
    }
    for (let free; (free = places.indexOf(undefined)) >= 0;) {
      const last = places.findLastIndex((one) => one !== undefined);
      if (last < kept || free >= kept || last < free) break;
      places[free] = places[last];
      places[last] = undefined;
    }
    while (places.length > 0 && places.at(-1) === undefined) places.pop();
  }

  /** By key: what was seen of the slots, and as many more as the pool's numbers say. */
  #connections() {
    const { stats, slots } = this.#seen;
    const left = { used: stats.used, idle: stats.idle, opening: stats.opening, closing: stats.closing };
    const found = new Map();
    const add = (connection) => found.set(connection.key, connection);
    for (const slot of slots) {
      const counts = slot.state === "dead" ? (left.used > 0 ? "used" : "idle") : slot.state;
      // A slot that the pool does not count so is on its way: being returned, checked or closed.
      const state = left[counts] > 0 ? slot.state : Object.keys(left).find((one) => left[one] > 0);
      if (state === undefined) continue;
      left[state === "dead" ? counts : state]--;
      add({ ...slot, state, key: slot.id > 0 ? slot.id : `opening ${slot.place}` });
    }
    for (const [state, count] of Object.entries(left))
      for (let one = 0; one < count; one++) add({ id: 0, state, key: `${state} ${one} elsewhere`, isElsewhere: true });
    return found;
  }

  // ---- over time

  #noteLeaving(before) {
    for (const [ending, name] of Object.entries(counters)) {
      const more = Math.min(mostToLeave, (this.stats[name] ?? 0) - (before[name] ?? Infinity));
      for (let one = 0; one < more; one++) this.lastToLeave.push({ ending });
    }
    this.lastToLeave.splice(0, this.lastToLeave.length - mostToLeave);
  }

  #notePoint() {
    const { points } = this.series;
    if (this.#now - (points.at(-1)?.at ?? -Infinity) < pointMs) return;
    const { checkouts, opened, used } = this.stats;
    this.#counts.push({ at: this.#now, checkouts, opened });
    while (this.#counts.length > 2 && this.#now - this.#counts[1].at >= rateMs) this.#counts.shift();
    const [first] = this.#counts;
    const rate = (name) => (((this.stats[name] ?? 0) - first[name]) * 1000) / Math.max(1, this.#now - first.at);
    points.push({
      at: this.#now,
      used,
      wait: this.longestWaitMs ?? 0,
      served: rate("checkouts"),
      opened: rate("opened"),
    });
    while (points.length > 0 && this.#now - points[0].at > spanMs) points.shift();
  }
}
