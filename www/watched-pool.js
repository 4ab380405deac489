// One pane's pool and everything around it: its simulated database, its callers, its places on the picture, its
// numbers. The pool decides. This file uses it like an application, listens to its events, and keeps what it observes.
// experiment.js makes one for each pane and passes on the visitor's acts.

import { AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool } from "../pkg/entry/inline.js";
import { Series } from "./measurements.js";
import { seeded } from "./seeded-random.js";
import { poolOptions, settings } from "./settings.js";
import { SimulatedDatabase } from "./simulated-database.js";

const kinds = { AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool };

/** How a caller ends, by the code of its error. */
const endings = {
  ERR_POOL_TIMEOUT: "timedOut",
  ERR_POOL_QUEUE_FULL: "refused",
  ERR_POOL_ASSERTION: "refused",
  ERR_POOL_CLOSED: "refused",
};

export class WatchedPool {
  pool;
  database;
  /** Callers without a connection yet, in order. */
  pending = new Set();
  /** The pool's connection at each place of the picture, or undefined. */
  places = [];
  /** Connections of an earlier pool, and replaced ones that callers still hold. */
  leftovers = [];
  left = { served: 0, timedOut: 0, failed: 0, refused: 0 };
  /** The callers that left last, oldest first. */
  lastToLeave = [];
  /** Near (half a minute in total) and far (five minutes). */
  series = [new Series(250), new Series(2500)];
  #time;
  #log;
  #settings;
  /** The caller whose connect() is running. */
  #asking;
  /** For each record, the caller for which the pool prepares it. */
  #servedIn = new Map();
  /** The record whose connection is beginning, and the places of its pool. */
  #opening;
  /** The record of each connection. */
  #recordOf = new Map();
  /** Connections that are terminated without a caller. */
  #distrusted = new WeakSet();
  /** The lease holders of each connection. */
  #holders = new Map();
  /** For each forgotten lease, the function that returns it. */
  #forgotten = new Map();

  /** `settings` returns this pane's current settings; `log` adds a line to the log. */
  constructor(name, time, seed, settings, log) {
    this.name = name;
    this.#time = time;
    this.#settings = settings;
    this.#log = log;
    this.database = new SimulatedDatabase(time, seeded(`${seed} database`), settings);
    this.database.onBegin = (connection) => this.#settle(connection);
    this.database.onGone = (connection) => this.#vacate(connection);
    this.#makePool();
    this.#measure();
  }

  get settings() {
    return this.#settings();
  }

  /** Replaces the pool, because a pool cannot be changed. The old one ends when its leases are returned. */
  rebuild() {
    const old = this.pool;
    this.leftovers.push(...this.places.filter((connection) => connection !== undefined));
    this.#makePool();
    void old.close({ timeout: "12h" });
  }

  #makePool() {
    const values = this.#settings();
    const places = (this.places = []);
    const pool = new kinds[values.kind]((record) => this.#open(record, places), {
      ...poolOptions(values),
      dialect: this.#watchedDialect(),
      clock: this.#time.clock,
      loggingName: this.name,
      // The page's log has these messages already, from the events.
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      // A run must not depend on when the browser collects garbage.
      trackLeaks: false,
    });
    const tell = (text, isNotable = false) => this.#log(this.name, text, isNotable);
    pool.on("connect", (connection) => {
      for (const series of this.series) series.noteOpened();
      tell(`opened connection ${connection.id}`);
    });
    pool.on(
      "reset",
      (connection) =>
        connection.inTransaction && tell(`connection ${connection.id} was returned with an open transaction`),
    );
    pool.on("checkin", (connection) =>
      tell(connection === null ? "an emptied slot was returned" : `connection ${connection.id} was returned`),
    );
    pool.on("close", (connection) => tell(`closing connection ${connection.id}`));
    pool.on("invalidate", (connection) => void this.#distrusted.add(connection));
    pool.on("invalidate", (connection, _record, error) =>
      tell(`connection ${connection.id} is not trusted${error ? `: ${error.message}` : ""}`, true),
    );
    pool.on("softInvalidate", (connection) => tell(`connection ${connection.id} will be replaced`, true));
    pool.on("error", (error, { operation }) => tell(`error in ${operation}: ${error.message}`, true));
    this.pool = pool;
  }

  /** The database's dialect, which also notes that a caller's connection is checked or replaced. */
  #watchedDialect() {
    const { dialect } = this.database;
    return {
      ...dialect,
      doPing: (connection) => {
        // What comes back is checked for the caller that has waited longest, even if one is being opened for it.
        this.#serveIn(this.#recordOf.get(connection), ["checking"]);
        return dialect.doPing(connection);
      },
      doTerminate: (connection) => {
        if (this.#asking !== undefined || !this.#distrusted.has(connection))
          this.#serveIn(this.#recordOf.get(connection));
        return dialect.doTerminate(connection);
      },
    };
  }

  /** Notes that the pool prepares this record for a caller: the one that is connecting, else the first without any. */
  #serveIn(record, doings = ["opening", "checking"]) {
    if (this.#asking === undefined && this.pending.has(this.#servedIn.get(record))) return;
    this.#servedIn.set(record, this.#asking ?? this.#firstWithout(doings));
  }

  /** The first caller without a connection for which none does any of these. */
  #firstWithout(doings) {
    const served = this.places.filter((connection) => doings.includes(connection?.doing));
    const callers = new Set(served.map((connection) => this.servedBy(connection)));
    for (const caller of this.pending) if (!callers.has(caller)) return caller;
  }

  /** The creator of the pool that has these places. */
  async #open(record, places) {
    this.#serveIn(record);
    this.#opening = { record, places };
    try {
      return await this.database.open();
    } catch (error) {
      // Its caller leaves with the error, so the next opening in this record is for another caller.
      this.#servedIn.delete(record);
      this.#log(this.name, error.message, true);
      throw error;
    }
  }

  /** Runs a caller: it takes a connection, uses it and returns it. */
  async serve(arrival) {
    const caller = { ...arrival, askedAt: arrival.at, hasConnection: false, step: 0 };
    this.pending.add(caller);
    let ending = "served";
    try {
      await this.#ask(caller);
    } catch (error) {
      ending = endings[error.code] ?? "failed";
      const verb = { timedOut: "gave up waiting", refused: "was refused", failed: "failed" }[ending];
      this.#log(this.name, `caller ${caller.id} ${verb}: ${error.message.split("\n", 1)[0]}`, true);
    }
    // A caller that was refused immediately, or whose opening failed, has not waited for a connection.
    if (this.pending.delete(caller) && ending === "timedOut") this.#noteWait(caller);
    this.left[ending]++;
    this.lastToLeave.push({ id: caller.id, ending, at: this.#time.now });
    if (this.lastToLeave.length > 200) this.lastToLeave.splice(0, 100);
    if (ending === "served") for (const series of this.series) series.noteServed();
  }

  /** Asks the pool for a connection. A waiter of a replaced pool asks the new one. */
  async #ask(caller) {
    for (;;) {
      const { pool } = this;
      try {
        this.#asking = caller;
        const used = pool.use((connection) => this.#work(caller, connection));
        this.#asking = undefined;
        return await used;
      } catch (error) {
        if (error.code !== "ERR_POOL_CLOSED" || pool === this.pool) throw error;
        caller.askedAt = this.#time.now;
      }
    }
  }

  async #work(caller, connection) {
    this.pending.delete(caller);
    this.#noteWait(caller);
    this.#log(this.name, `lent connection ${connection.id} to caller ${caller.id}`, false);
    caller.hasConnection = true;
    caller.gotAt = this.#time.now;
    const holders = this.#holders.get(connection) ?? new Set();
    this.#holders.set(connection, holders.add(caller));
    try {
      const { leaks, queryFailures } = this.#settings();
      for (const { weight, luck } of caller.queries) {
        caller.step++;
        connection.inTransaction = caller.leavesTransactionOpen;
        await this.database.query(connection, weight, luck < queryFailures);
      }
      if (caller.forgetfulness < leaks) await this.#forget(caller, connection);
    } finally {
      holders.delete(caller);
    }
  }

  /** Keeps the lease until the visitor returns it. */
  #forget(caller, connection) {
    caller.isForgetful = true;
    this.#log(this.name, `caller ${caller.id} forgot to return connection ${connection.id}`, true);
    return new Promise((resolve) => this.#forgotten.set(connection, resolve)).then(() =>
      this.#forgotten.delete(connection),
    );
  }

  /** Returns a forgotten lease. */
  giveBack(connectionId) {
    for (const [connection, resolve] of this.#forgotten) if (connection.id === connectionId) resolve();
  }

  kill(connectionId) {
    for (const connection of this.database.connections)
      if (connection.id === connectionId) this.database.kill(connection);
  }

  /** The callers in the queue, in order of arrival: the pool serves those before them first. */
  *queue() {
    let served = this.pending.size - this.pool.stats().waiting;
    for (const caller of this.pending) if (--served < 0) yield caller;
  }

  /** The lease holders of this connection; several if the pool shares it. */
  holdersOf(connection) {
    return this.#holders.get(connection) ?? noHolders;
  }

  /** The caller for which a connection is opened or checked; undefined if there is none. */
  servedBy(connection) {
    const caller = this.#servedIn.get(this.#recordOf.get(connection));
    return caller && this.pending.has(caller) ? caller : undefined;
  }

  /** The state of the slot with this connection, in the words of the legend. */
  stateOf(connection) {
    const { doing } = connection;
    if (doing === "opening" || doing === "closing" || doing === "resetting" || doing === "checking") return doing;
    const holders = this.holdersOf(connection);
    if (holders.size > 0) return this.#forgotten.has(connection) ? "forgotten" : "used";
    return connection.isAlive ? "idle" : "dead";
  }

  #noteWait(caller) {
    for (const series of this.series) series.noteWait(this.#time.now - caller.at);
  }

  #measure() {
    for (const series of this.series) {
      const piece = () => {
        series.end(this.#time.now, this.pool.stats().used);
        this.#time.after(series.pieceMs, piece, true);
      };
      this.#time.after(series.pieceMs, piece, true);
    }
  }

  /** The longest wait of a caller, by the pool's options; Infinity means no limit. */
  get patienceMs() {
    const { kind, timeout, deadline } = this.#settings();
    const patience = settings.timeout.kinds.includes(kind) ? timeout : null;
    return Math.min(patience ?? Infinity, deadline ?? Infinity);
  }

  /** The number of connections that the pool keeps, and its maximum; Infinity means no limit. */
  get limits() {
    const { max } = this.pool.stats();
    const { kind, poolSize } = this.#settings();
    return { kept: kind === "QueuePool" && poolSize > 0 ? poolSize : max, max };
  }

  #settle(connection) {
    const { record, places } = this.#opening;
    this.#recordOf.set(connection, record);
    if (places !== this.places) {
      this.leftovers.push(connection);
      return;
    }
    let place = places.indexOf(undefined);
    if (place < 0) place = places.length;
    // There are more than the maximum: this connection replaces the oldest one that callers still hold.
    if (place >= this.limits.max) {
      place = places.reduce((oldest, { id }, other) => (id < places[oldest].id ? other : oldest), 0);
      this.leftovers.push(places[place]);
    }
    places[place] = connection;
  }

  /** Frees the place of a connection. The pool does not mark overflow, so an overflow connection may take the place. */
  #vacate(connection) {
    this.#holders.delete(connection);
    this.#recordOf.delete(connection);
    const { places, leftovers } = this;
    const place = places.indexOf(connection);
    if (place < 0) {
      leftovers.splice(leftovers.indexOf(connection), 1);
      return;
    }
    places[place] = undefined;
    const { kept } = this.limits;
    const last = places.findLastIndex((other) => other !== undefined);
    if (last > place && (kept === Infinity || (place < kept && last >= kept))) {
      places[place] = places[last];
      places[last] = undefined;
    }
    while (places.length > 0 && places.at(-1) === undefined) places.pop();
  }
}

const noHolders = new Set();
