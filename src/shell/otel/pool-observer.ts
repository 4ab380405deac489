/** Takes the times of one pool's activities, and of those of the pools that its recreate() makes. */

import type { PoolClock } from "../clock.js";
import type { ObservableLease, Observer } from "../observer.js";
import {
  referenceTo,
  type Histogram,
  type Instruments,
  type MetricAttributes,
  type ObservablePool,
  type Reference,
} from "./instruments.js";

/** Whether it is a pool, of any copy of the package. */
export function isObservable(value: unknown): value is ObservablePool {
  return (
    typeof value === "object" && value !== null && typeof (value as Partial<ObservablePool>).observable === "function"
  );
}

export class PoolObserver {
  static readonly #byInstruments = new WeakMap<Instruments, WeakMap<object, PoolObserver>>();
  readonly #instruments: Instruments;
  readonly #name: string;
  readonly #clock: PoolClock;
  readonly #attributes: MetricAttributes;
  #pools: Reference[] = [];

  /** Returns the observer of the pool, if it has one with these instruments. */
  static of(pool: ObservablePool, instruments: Instruments): PoolObserver | undefined {
    return PoolObserver.#byInstruments.get(instruments)?.get(pool);
  }

  constructor(pool: ObservablePool, instruments: Instruments, name: string) {
    this.#instruments = instruments;
    this.#name = name;
    this.#clock = pool.observable().clock;
    this.#attributes = this.#join(pool);
    pool.observable().listeners.add("observe", this.#observe, {});
  }

  #join(pool: ObservablePool): MetricAttributes {
    const attributes = this.#instruments.add(pool, this.#name);
    const byInstruments = PoolObserver.#byInstruments;
    let byPool = byInstruments.get(this.#instruments);
    if (byPool === undefined) byInstruments.set(this.#instruments, (byPool = new WeakMap()));
    byPool.set(pool, this);
    this.#pools = [...this.#pools.filter((other) => other.deref() !== undefined), referenceTo(pool)];
    return attributes;
  }

  detach(): void {
    for (const reference of this.#pools) {
      const pool = reference.deref();
      if (pool === undefined) continue;
      pool.observable().listeners.remove("observe", this.#observe);
      PoolObserver.#byInstruments.get(this.#instruments)?.delete(pool);
      this.#instruments.remove(pool, this.#name);
    }
    this.#pools = [];
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  /** What the pool calls. */
  readonly #observe: Observer = (pool, { name, lease }, call) => {
    switch (name) {
      case "checkout": {
        const since = this.#now();
        return after(call(), (granted) => {
          // tryConnect() may return none.
          if (granted === undefined) return;
          const now = this.#now();
          (granted as ObservableLease).lentAt = now;
          this.#record(this.#instruments.waitTime, now - since, pool);
        });
      }
      case "open": {
        const since = this.#now();
        return after(call(), () => this.#record(this.#instruments.createTime, this.#now() - since, pool));
      }
      case "return": {
        const lentAt = lease?.lentAt;
        if (lentAt === undefined) return call();
        // Before the call: the reset is no use.
        const now = this.#now();
        const answer = call();
        if (lease?.isDetached === true) {
          lease.lentAt = undefined;
          this.#record(this.#instruments.useTime, now - lentAt, pool);
        }
        return answer;
      }
      case "recreate": {
        const made = call();
        this.#join(made as ObservablePool);
        return made;
      }
      default:
        return call();
    }
  };

  /** NaN if the clock fails, which the pool reports when it reads the clock itself. */
  #now(): number {
    try {
      return Number(this.#clock.now());
    } catch {
      return NaN;
    }
  }

  /** Records a time, unless the clock failed. A clock that went back says nothing of the time. */
  #record(histogram: Histogram, milliseconds: number, pool: object): void {
    if (!(milliseconds >= 0)) return;
    try {
      histogram.record(milliseconds / 1000, this.#attributes);
    } catch (error) {
      (pool as ObservablePool).observable().listeners.report("listener", error, null, "a meter failed");
    }
  }
}

/** Calls back when the call has succeeded, at once or later. Returns what the caller of the call goes on with. */
function after<R>(answer: R, succeeded: (value: unknown) => void): R {
  if (typeof (answer as { then?: unknown } | undefined)?.then !== "function") {
    succeeded(answer);
    return answer;
  }
  return Promise.resolve(answer).then((value) => {
    succeeded(value);
    return value;
  }) as R;
}
