// @ts-check
// Scripted connections and a virtual clock: nothing here waits for real time. A connection records every call; a
// creator or a call answers as its script says, at once or when the test lets it.

import { createClock } from "@sinonjs/fake-timers";
import { expect } from "chai";
import { QueuePool } from "edgepool";

/** A promise that the test settles. */
export function gate() {
  let open;
  let fail;
  const promise = new Promise((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}

/** What a call that never answers returns. */
export const never = () => new Promise(() => {});

/** A server of scripted connections. `calls` is the trace of everything that was asked of any of them. */
export class Server {
  calls = [];
  connections = [];
  /**
   * What the next calls do, by name: a function of the connection, or absent for success.
   *
   * @type {Record<string, ((subject: any) => any) | undefined>}
   */
  script = {};

  /** The creator. `script.open` may throw, answer a promise, or answer nothing for a plain connection. */
  open = (record) => {
    this.calls.push("open");
    const answer = this.script.open?.(record);
    if (answer instanceof Promise) return answer.then((value) => value ?? this.connection());
    return answer ?? this.connection();
  };

  connection() {
    const server = this;
    const id = this.connections.length + 1;
    const perform = (/** @type {string} */ call) =>
      /** @this {{ closed: number }} */
      function () {
        server.calls.push(`${call} ${id}`);
        if (call === "close" || call === "terminate") this.closed++;
        return server.script[call]?.(this);
      };
    const connection = {
      id,
      closed: 0,
      rollback: perform("rollback"),
      commit: perform("commit"),
      close: perform("close"),
      terminate: perform("terminate"),
    };
    this.connections.push(connection);
    return connection;
  }

  /** Connections opened and not closed yet. */
  get live() {
    return this.connections.filter(({ closed }) => closed === 0).length;
  }

  /** Connections that were closed more than once: always a bug. */
  get closedTwice() {
    return this.connections.filter(({ closed }) => closed > 1).length;
  }
}

/** Logs that a test reads instead of the console's. */
export class Log {
  lines = [];
  debug = (message) => void this.lines.push(["debug", message]);
  info = (message) => void this.lines.push(["info", message]);
  warn = (message) => void this.lines.push(["warn", message]);
  error = (message, error) => void this.lines.push(["error", message, error]);

  /** The messages of one level. */
  of(level) {
    return this.lines.filter(([kind]) => kind === level).map(([, message]) => message);
  }

  /** The errors that were reported. */
  get errors() {
    return this.lines.filter(([level]) => level === "error").map(([, , error]) => error);
  }
}

/**
 * A virtual clock, and how the pool sees it. `due` holds the timers that run; `reads` and `set` count what was asked.
 */
export function virtualClock() {
  const clock = Object.assign(createClock(), { due: new Map(), reads: 0, set: 0 });
  const poolClock = {
    now() {
      clock.reads++;
      return clock.now;
    },
    setTimeout(run, ms) {
      clock.set++;
      const timer = clock.setTimeout(() => {
        clock.due.delete(timer);
        run();
      }, ms);
      clock.due.set(timer, clock.now + ms);
      return timer;
    },
    clearTimeout(timer) {
      clock.due.delete(timer);
      clock.clearTimeout(timer);
    },
  };
  return { clock, poolClock };
}

/** Whether the host has I/O contexts: Cloudflare Workers. */
export const isWorkers = "WebSocketPair" in globalThis;

/** Defaults that are others in Workers, as they are everywhere else: the suite is one. */
export const everywhere = { maxOverflow: 10, maxConnecting: Infinity, idleTimeout: null };

/** A QueuePool of scripted connections on a virtual clock. */
export function scriptedPool(options = {}) {
  const server = new Server();
  const { clock, poolClock } = virtualClock();
  const log = new Log();
  const pool = new QueuePool(server.open, {
    clock: poolClock,
    logger: log,
    loggingName: "scripted",
    ...everywhere,
    ...options,
  });
  return { pool, server, clock, log };
}

/** Lets every microtask that is due run, by waiting for many of them; no timer. */
export async function settled(turns = 50) {
  for (let turn = 0; turn < turns; turn++) await null;
}

/** Lets so much virtual time pass, timer by timer, each with the microtasks behind it. */
export async function pass(clock, ms, turns = 50) {
  const end = clock.now + ms;
  await settled(turns);
  for (let next; (next = Math.min(...clock.due.values())) <= end;) {
    clock.tick(next - clock.now);
    await settled(turns);
  }
  clock.tick(end - clock.now);
  await settled(turns);
}

/** What became of a promise by now: "pending", "fulfilled" or "rejected". */
export async function stateOf(promise) {
  let state = "pending";
  promise.then(
    () => (state = "fulfilled"),
    () => (state = "rejected"),
  );
  await settled();
  return state;
}

/** The error that a promise rejects with. */
export async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection, but the promise was fulfilled");
}

/** What a call throws; a promise that it answers instead is no throw. */
export function thrown(call) {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("expected a throw, but the call returned");
}

/** Notes on the clock when a promise rejects: `{ at, error }` once it has. */
export function rejectionTime(promise, clock) {
  const noted = { at: undefined, error: undefined };
  promise.then(
    () => {},
    (error) => Object.assign(noted, { at: clock.now, error }),
  );
  return noted;
}

/** SQLAlchemy's four counts, in its order. */
export function counts(pool) {
  return [pool.size(), pool.checkedIn(), pool.overflow(), pool.checkedOut()];
}

/** `count` leases at once. */
export function connects(pool, count) {
  return Promise.all(Array.from({ length: count }, () => pool.connect()));
}

/**
 * The end of a test that broke things: no slot is lost, the next use works, and in the end every connection is closed,
 * once.
 */
export function expectSound(context, note = "") {
  return expectAllSound([{ ...context, note }]);
}

/** The same for many pools on one clock, each with its own note. */
export async function expectAllSound(contexts) {
  const { clock } = contexts[0];
  for (const { server } of contexts) server.script = {};
  await pass(clock, 100_000);
  for (const { pool, note } of contexts) {
    expect(pool.stats(), note).to.include({ used: 0, opening: 0, closing: 0, waiting: 0, detached: 0 });
  }
  const open = contexts.filter(({ pool }) => !pool.closed);
  const closedBefore = await Promise.all(open.map(({ pool }) => pool.use(({ closed }) => closed)));
  open.forEach(({ note }, number) =>
    expect(closedBefore[number], `${note} the next use has an open connection`).to.equal(0),
  );
  const ends = contexts.map(({ pool }) => pool.close({ timeout: "1s" }));
  await pass(clock, 2_000);
  const states = await Promise.all(ends.map(stateOf));
  for (const [number, { pool, server, note }] of contexts.entries()) {
    expect(states[number], `${note} the pool's close`).to.equal("fulfilled");
    expect(
      { total: pool.stats().total, live: server.live, closedTwice: server.closedTwice, timers: clock.due.size },
      note,
    ).to.deep.equal({ total: 0, live: 0, closedTwice: 0, timers: 0 });
  }
}
