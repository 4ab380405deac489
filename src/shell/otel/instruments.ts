/**
 * The instruments on one meter, and the pools whose numbers they show. The names, units and kinds are those of the
 * semantic conventions 1.45, which leave it to the implementation whether a counter is asynchronous. These are: what a
 * pool counts anyway is read when the meter is collected, and costs nothing before.
 */

import type { Observable } from "../observer.js";
import type { PoolStats } from "../stats.js";

/** Attributes of a measurement. */
export interface MetricAttributes {
  [name: string]: string;
}

/** How an instrument is made. */
export interface InstrumentOptions {
  description: string;
  unit: string;
  advice?: { explicitBucketBoundaries: number[] };
}

/** A histogram of `@opentelemetry/api`. */
export interface Histogram {
  record(value: number, attributes: MetricAttributes): void;
}

/** An asynchronous instrument of `@opentelemetry/api`. */
export interface ObservableInstrument {
  addCallback(callback: (result: any) => void): void;
}

/** What takes the numbers when the meter is collected. */
export interface BatchResult {
  observe(instrument: ObservableInstrument, value: number, attributes: MetricAttributes): void;
}

/** A Meter of `@opentelemetry/api`, as far as it is used. */
export interface Meter {
  createHistogram(name: string, options: InstrumentOptions): Histogram;
  createObservableCounter(name: string, options: InstrumentOptions): ObservableInstrument;
  createObservableUpDownCounter(name: string, options: InstrumentOptions): ObservableInstrument;
  addBatchObservableCallback(callback: (result: BatchResult) => void, instruments: ObservableInstrument[]): void;
  removeBatchObservableCallback(callback: (result: BatchResult) => void, instruments: ObservableInstrument[]): void;
}

/** A pool, to this entry. */
export interface ObservablePool {
  readonly loggingName: string;
  readonly closed: boolean;
  observable(): Observable;
}

const prefix = "db.client.connection";
const nameAttribute = `${prefix}.pool.name`;

/** The conventions advise these for `db.client.operation.duration`, and none for the times of connections. */
const boundaries = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

const none: PoolStats = Object.freeze({}) as PoolStats;

/** A reference that does not keep the pool, if the host has such references. */
export interface Reference {
  deref(): ObservablePool | undefined;
}

export function referenceTo(pool: ObservablePool): Reference {
  return typeof WeakRef === "function" ? new WeakRef(pool) : { deref: () => pool };
}

/** One pool of a name. It does not keep the pool. */
class Member {
  readonly #pool: Reference;
  #stats = none;
  #isOver = false;

  constructor(pool: ObservablePool) {
    this.#pool = referenceTo(pool);
  }

  is(pool: object): boolean {
    return this.#pool.deref() === pool;
  }

  /** Reads the numbers, and returns them. The counters of a pool that is gone stay. */
  read(): PoolStats {
    const pool = this.#pool.deref();
    const { timedOut = 0 } = this.#stats;
    this.#stats = { ...none, timedOut };
    this.#isOver = true;
    if (pool === undefined) return this.#stats;
    try {
      const stats = pool.observable().stats();
      this.#isOver = pool.closed && stats.total + stats.waiting + stats.detached === 0;
      // A closed pool allows none.
      this.#stats = pool.closed ? { ...stats, max: 0, maxIdle: 0, minIdle: 0 } : stats;
    } catch {
      // A crash leaves no numbers.
    }
    return this.#stats;
  }

  /** Whether the pool was closed and has nothing left, or is gone. */
  get isOver(): boolean {
    return this.#isOver;
  }
}

/** The pools of one name, whose numbers are added up. */
class Group {
  readonly attributes: MetricAttributes;
  #members: Member[] = [];
  /** Of pools that are over. A counter must not go back. */
  #timeoutsBefore = 0;

  constructor(name: string) {
    this.attributes = Object.freeze({ [nameAttribute]: name });
  }

  add(pool: ObservablePool): void {
    this.#members.push(new Member(pool));
  }

  remove(pool: object): void {
    const removed = this.#members.filter((member) => member.is(pool));
    this.#members = this.#members.filter((member) => !removed.includes(member));
    for (const member of removed) this.#timeoutsBefore += member.read().timedOut;
  }

  get isEmpty(): boolean {
    return this.#members.length === 0;
  }

  /** Returns the sums, those of pools that are over included, and forgets these. */
  read(): (name: keyof PoolStats) => number {
    const all = this.#members.map((member) => member.read());
    const before = this.#timeoutsBefore;
    for (const [place, member] of this.#members.entries())
      if (member.isOver) this.#timeoutsBefore += (all[place] as PoolStats).timedOut;
    this.#members = this.#members.filter((member) => !member.isOver);
    return (name) => all.reduce((sum, stats) => sum + (stats[name] ?? 0), name === "timedOut" ? before : 0);
  }
}

export class Instruments {
  static readonly #byMeter = new WeakMap<object, Instruments>();
  readonly createTime: Histogram;
  readonly waitTime: Histogram;
  readonly useTime: Histogram;
  readonly #meter: Meter;
  readonly #groups = new Map<string, Group>();
  readonly #count: ObservableInstrument;
  /** The others that are read, each with the number that it shows. */
  readonly #read: ReadonlyArray<readonly [ObservableInstrument, keyof PoolStats]>;

  /** Returns those of the meter, made if there are none. */
  static on(meter: Meter): Instruments {
    if (typeof meter?.createHistogram !== "function")
      throw new TypeError("attachMeter() wants a Meter of @opentelemetry/api as its second argument");
    let instruments = Instruments.#byMeter.get(meter);
    if (instruments === undefined) Instruments.#byMeter.set(meter, (instruments = new Instruments(meter)));
    return instruments;
  }

  private constructor(meter: Meter) {
    const time = (name: string, description: string): Histogram =>
      meter.createHistogram(`${prefix}.${name}`, {
        description,
        unit: "s",
        advice: { explicitBucketBoundaries: boundaries },
      });
    const upDown = (name: string, unit: string, description: string): ObservableInstrument =>
      meter.createObservableUpDownCounter(`${prefix}.${name}`, { description, unit });
    const timeouts = meter.createObservableCounter(`${prefix}.timeouts`, {
      description: "The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
      unit: "{timeout}",
    });
    this.#meter = meter;
    this.createTime = time("create_time", "The time it took to create a new connection.");
    this.waitTime = time("wait_time", "The time it took to obtain an open connection from the pool.");
    this.useTime = time("use_time", "The time between borrowing a connection and returning it to the pool.");
    this.#count = upDown(
      "count",
      "{connection}",
      "The number of connections that are currently in state described by the `state` attribute.",
    );
    this.#read = [
      [upDown("idle.max", "{connection}", "The maximum number of idle open connections allowed."), "maxIdle"],
      [upDown("idle.min", "{connection}", "The minimum number of idle open connections allowed."), "minIdle"],
      [upDown("limit", "{connection}", "The maximum number of open connections allowed."), "max"],
      // Its name until 1.44, by which most dashboards ask.
      [upDown("max", "{connection}", "Deprecated, use `db.client.connection.limit` instead."), "max"],
      [
        upDown("pending_requests", "{request}", "The number of current pending requests for an open connection."),
        "waiting",
      ],
      [timeouts, "timedOut"],
    ];
  }

  /** Adds a pool to those of a name. Returns the attributes of that name. */
  add(pool: ObservablePool, name: string): MetricAttributes {
    let group = this.#groups.get(name);
    if (group === undefined) {
      if (this.#groups.size === 0) this.#meter.addBatchObservableCallback(this.#collect, this.#observed);
      this.#groups.set(name, (group = new Group(name)));
    }
    group.add(pool);
    return group.attributes;
  }

  /** Takes a pool out of those of a name. */
  remove(pool: object, name: string): void {
    this.#groups.get(name)?.remove(pool);
  }

  get #observed(): ObservableInstrument[] {
    return [this.#count, ...this.#read.map(([instrument]) => instrument)];
  }

  readonly #collect = (result: BatchResult): void => {
    for (const [name, group] of this.#groups) {
      const { attributes } = group;
      const sum = group.read();
      for (const state of ["idle", "used"] as const)
        result.observe(this.#count, sum(state), { ...attributes, [`${prefix}.state`]: state });
      for (const [instrument, number] of this.#read) {
        const value = sum(number);
        // No limit is no number.
        if (value < Infinity) result.observe(instrument, value, attributes);
      }
      // Only now: an exporter may show the last numbers for good, and these are zeros.
      if (group.isEmpty) this.#groups.delete(name);
    }
    if (this.#groups.size === 0) this.#meter.removeBatchObservableCallback(this.#collect, this.#observed);
  };
}
