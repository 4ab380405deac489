// One pane's pool and everything around it: its simulated database, its callers, its places on the picture, its numbers.
// The pool decides; this file asks it for connections as an application would, listens to its events, and remembers what
// it saw. experiment.js makes one for each pane and passes on what the visitor does.

import { AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool } from "../pkg/entry/inline.js";
import { Series } from "./measurements.js";
import { seeded } from "./seeded-random.js";
import { poolOptions, settings } from "./settings.js";
import { SimulatedDatabase } from "./simulated-database.js";

const kinds = { AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool };

/** How callers leave, by what the pool or the database told them. */
const endings = {
  ERR_POOL_TIMEOUT: "timedOut",
  ERR_POOL_QUEUE_FULL: "refused",
  ERR_POOL_ASSERTION: "refused",
  ERR_POOL_CLOSED: "refused",
};

export class WatchedPool {
  pool;
  database;
  /** Those who asked and have no connection yet, in the order in which they asked. Who has left the line, since one is opened or checked for him, `isOpening`. */
  pending = new Set();
  /** By place on the picture: the connection of the pool there, or nothing. */
  places = [];
  /** Connections that only wait for their end: of a pool before, or replaced while callers still have them. */
  leftovers = [];
  left = { served: 0, timedOut: 0, failed: 0, refused: 0 };
  /** The latest to leave, oldest first. */
  lastToLeave = [];
  /** Near (half a minute in all) and far (five minutes). */
  series = [new Series(250), new Series(2500)];
  #time;
  #log;
  #settings;
  /** Whose connect() runs at this moment. */
  #asking;
  /** By record: for whom the pool works on it, on the way to a checkout. */
  #servedIn = new Map();
  /** The record whose connection begins at this moment, and the places of its pool. */
  #opening;
  /** By connection: its record. */
  #recordOf = new Map();
  /** Connections that are terminated for their own sake, and for no caller's. */
  #distrusted = new WeakSet();
  /** By connection: who has it. */
  #holders = new Map();
  /** Of forgotten leases: how to give them back after all. */
  #forgotten = new Map();

  /** `settings` answers this pane's settings as they are now; `log` takes what is to be told. */
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

  /** Pools cannot be changed: there is a new one, the old one ends when its leases have come back. */
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
      // What it would say there is in the log of the page, from the events.
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
        connection.inTransaction && tell(`connection ${connection.id} came back with an open transaction`),
    );
    pool.on("checkin", (connection) =>
      tell(connection === null ? "an emptied slot came back" : `connection ${connection.id} is back`),
    );
    pool.on("close", (connection) => tell(`closing connection ${connection.id}`));
    pool.on("invalidate", (connection) => void this.#distrusted.add(connection));
    pool.on("invalidate", (connection, _record, error) =>
      tell(`connection ${connection.id} is not to be trusted${error ? `: ${error.message}` : ""}`, true),
    );
    pool.on("softInvalidate", (connection) => tell(`connection ${connection.id} will be replaced`, true));
    pool.on("error", (error, { operation }) => tell(`swallowed in ${operation}: ${error.message}`, true));
    this.pool = pool;
  }

  /** The database's dialect, which tells here that somebody's connection is checked or replaced. */
  #watchedDialect() {
    const { dialect } = this.database;
    return {
      ...dialect,
      doPing: (connection) => {
        this.#serveIn(this.#recordOf.get(connection));
        return dialect.doPing(connection);
      },
      doTerminate: (connection) => {
        if (this.#asking !== undefined || !this.#distrusted.has(connection))
          this.#serveIn(this.#recordOf.get(connection));
        return dialect.doTerminate(connection);
      },
    };
  }

  /** The pool works on this record for a caller: the one who asks at this moment, else the first in line, in whose turn it is. */
  #serveIn(record) {
    if (this.#asking === undefined && this.pending.has(this.#servedIn.get(record))) return;
    const caller = this.#asking ?? this.queue().next().value;
    if (caller) caller.isOpening = true;
    this.#servedIn.set(record, caller);
  }

  /** The creator of the pool that has these places. */
  async #open(record, places) {
    this.#serveIn(record);
    this.#opening = { record, places };
    try {
      return await this.database.open();
    } catch (error) {
      // Its caller leaves with the error; what is opened in this record next is for another.
      this.#servedIn.delete(record);
      this.#log(this.name, error.message, true);
      throw error;
    }
  }

  /** A caller asks for a connection, uses it and gives it back. */
  async serve(arrival) {
    const caller = { ...arrival, isOpening: false, askedAt: arrival.at, hasConnection: false, step: 0 };
    this.pending.add(caller);
    let ending = "served";
    try {
      await this.#ask(caller);
    } catch (error) {
      ending = endings[error.code] ?? "failed";
      const verb = { timedOut: "gave up waiting", refused: "was turned away", failed: "failed" }[ending];
      this.#log(this.name, `caller ${caller.id} ${verb}: ${error.message.split("\n", 1)[0]}`, true);
    }
    // Who was refused at once, or whose opening failed, has not waited for a connection.
    if (this.pending.delete(caller) && ending === "timedOut") this.#noteWait(caller);
    this.left[ending]++;
    this.lastToLeave.push({ id: caller.id, ending, at: this.#time.now });
    if (this.lastToLeave.length > 200) this.lastToLeave.splice(0, 100);
    if (ending === "served") for (const series of this.series) series.noteServed();
  }

  /** Who waited in a pool that was exchanged for another asks the new one. */
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
        caller.isOpening = false;
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

  /** Keeps the lease for ever, or until the visitor gives it back. */
  #forget(caller, connection) {
    caller.isForgetful = true;
    this.#log(this.name, `caller ${caller.id} forgot to give connection ${connection.id} back`, true);
    return new Promise((resolve) => this.#forgotten.set(connection, resolve)).then(() =>
      this.#forgotten.delete(connection),
    );
  }

  /** Gives a forgotten lease back. */
  giveBack(connectionId) {
    for (const [connection, resolve] of this.#forgotten) if (connection.id === connectionId) resolve();
  }

  kill(connectionId) {
    for (const connection of this.database.connections)
      if (connection.id === connectionId) this.database.kill(connection);
  }

  /** Those in the queue, first come first. */
  *queue() {
    for (const caller of this.pending) if (!caller.isOpening) yield caller;
  }

  /** The callers who have this connection; more than one where the pool shares it. */
  holdersOf(connection) {
    return this.#holders.get(connection) ?? nobody;
  }

  /** For whom it is opened or checked; undefined where for nobody. */
  servedBy(connection) {
    return this.#servedIn.get(this.#recordOf.get(connection));
  }

  /** What the slot with this connection is doing, in the words of the legend. */
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

  /** How long a caller waits at most, as the pool was told; Infinity where for ever. */
  get patienceMs() {
    const { kind, timeout, deadline } = this.#settings();
    const patience = settings.timeout.kinds.includes(kind) ? timeout : null;
    return Math.min(patience ?? Infinity, deadline ?? Infinity);
  }

  /** How many connections the pool keeps, and how many it may have; Infinity where nothing limits them. */
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
    // More than the pool may have: it replaces one that callers still have, the oldest.
    if (place >= this.limits.max) {
      place = places.reduce((oldest, { id }, other) => (id < places[oldest].id ? other : oldest), 0);
      this.leftovers.push(places[place]);
    }
    places[place] = connection;
  }

  /** The pool counts its overflow and marks no connection as such: one of those beyond takes a place that came free. Without a limit they close ranks. */
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

const nobody = new Set();
