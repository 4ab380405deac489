// What the picture (src/picture/picture.js) shows of a watched pool: its state, its callers, and the words for them.
// Decides nothing. screen.js makes one for each pane of an experiment.

import { stateWords } from "../src/picture/cells.js";
import { perSecond, seconds } from "../src/picture/charts.js";

const orders = { true: "lends the latest returned first (LIFO)", false: "lends the longest idle first (FIFO)" };
const mottos = {
  QueuePool: ({ useLifo }) => orders[useLifo],
  NullPool: () => "opens for every caller, closes at every return",
  SingletonThreadPool: () => "one connection for each thread; a page has one thread",
  StaticPool: () => "one connection, shared by all callers",
  AssertionPool: () => "one caller at a time; a second one is an error",
};

export const charts = [
  {
    name: "Wait for a connection",
    lines: [
      { of: "p50", colour: "used", word: "typical" },
      { of: "p95", colour: "urgent", word: "slowest 5 %", isDashed: true },
    ],
    show: seconds,
    atLeast: 100,
  },
  {
    name: "Lent (in use or resetting)",
    lines: [{ of: "used", colour: "used", isFilled: true }],
    show: (value) => String(value ?? 0),
    atLeast: 4,
    hasLimits: true,
  },
  {
    name: "Callers served",
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

export class Pane {
  charts = charts;
  endings = { served: "served", timedOut: "timed out", failed: "failed", refused: "refused" };
  invitation = "Pick a connection to see its state, or to break it.";
  #watched;

  constructor(watched) {
    this.#watched = watched;
  }

  get name() {
    return this.#watched.name;
  }

  get title() {
    return this.#watched.settings.kind;
  }

  get motto() {
    const { settings } = this.#watched;
    return mottos[settings.kind](settings);
  }

  get notice() {
    return this.#watched.database.isDown ? "the server is down" : "";
  }

  get keptHint() {
    if (this.title !== "QueuePool") return this.motto;
    return this.limits.kept === Infinity ? "opened as needed, no limit" : "kept open; # is the lease holder";
  }

  get stats() {
    return this.#watched.pool.stats();
  }

  get limits() {
    return this.#watched.limits;
  }

  get places() {
    return this.#watched.places;
  }

  get leftovers() {
    return this.#watched.leftovers;
  }

  get left() {
    return this.#watched.left;
  }

  get lastToLeave() {
    return this.#watched.lastToLeave;
  }

  get patienceMs() {
    return this.#watched.patienceMs;
  }

  queue() {
    return this.#watched.queue();
  }

  get whenNobodyWaits() {
    return this.#watched.pending.size > 0 ? "the line is empty" : "no callers wait";
  }

  nameOf({ id }) {
    return `Connection ${id}`;
  }

  stateOf(connection) {
    return this.#watched.stateOf(connection);
  }

  holderOf(connection, state) {
    const holders = this.#watched.holdersOf(connection);
    if (holders.size > 1) return `${holders.size} callers`;
    const first =
      holders.values().next().value ??
      (state === "opening" || state === "checking" ? this.#watched.servedBy(connection) : undefined);
    return first === undefined ? "" : `#${first.id}`;
  }

  /** A line about a connection, and the acts that it allows. */
  describe(connection) {
    const state = connection.doing === "gone" ? "gone" : this.stateOf(connection);
    const caller = this.#watched.holdersOf(connection).values().next().value;
    const does =
      state === "gone"
        ? "is closed"
        : state === "used"
          ? `is in use by caller ${caller.id}, query ${caller.step} of ${caller.queries.length}`
          : state === "forgotten"
            ? `was never returned by caller ${caller.id}`
            : `is ${stateWords[state]}`;
    const deeds = [];
    if (state !== "gone" && connection.isAlive) deeds.push(["Kill it", "kill"]);
    if (state === "forgotten") deeds.push(["Return it", "giveBack"]);
    const broken = connection.isAlive || state === "gone" ? "" : ", broken";
    const transaction = connection.inTransaction ? ", in a transaction" : "";
    return { text: `Connection ${connection.id} ${does}${broken}${transaction}.`, deeds };
  }
}
