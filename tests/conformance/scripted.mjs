// Scripted connections and a virtual clock: nothing here waits for real time. A connection records every call; a creator
// or a call answers as its script says, at once or when the test lets it.

import { createClock } from "@sinonjs/fake-timers";
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

/** A server of scripted connections. `calls` is the trace of everything that was asked of any of them. */
export class Server {
  calls = [];
  connections = [];
  /** What the next calls do, by name: a function of the connection, or absent for success. */
  script = {};
  /** Whether the connections know that no transaction is open; undefined: they cannot tell. */
  transaction = undefined;

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
    const perform = (call) => function () {
      server.calls.push(`${call} ${id}`);
      if (call === "close" || call === "terminate") this.closed++;
      return server.script[call]?.(this);
    };
    const connection = { id, closed: 0, rollback: perform("rollback"), commit: perform("commit"), close: perform("close"), terminate: perform("terminate") };
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
}

/** A QueuePool of scripted connections on a virtual clock. */
export function scriptedPool(options = {}) {
  const server = new Server();
  const clock = createClock();
  const log = new Log();
  const poolClock = { now: () => clock.now, setTimeout: (run, ms) => clock.setTimeout(run, ms), clearTimeout: (timer) => clock.clearTimeout(timer) };
  const pool = new QueuePool(server.open, { clock: poolClock, logger: log, loggingName: "scripted", ...options });
  return { pool, server, clock, log };
}

/** Lets every microtask that is due run, by waiting for many of them; no timer. */
export async function settled() {
  for (let turn = 0; turn < 50; turn++) await null;
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

/** SQLAlchemy's four counts, in its order. */
export function counts(pool) {
  return [pool.size(), pool.checkedIn(), pool.overflow(), pool.checkedOut()];
}
