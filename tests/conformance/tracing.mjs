// A scripted pool whose trace shows every event beside the calls into the driver, in their order.

import { QueuePool } from "edgepool";
import { Log, Server, virtualClock } from "./scripted.mjs";

const events = [
  "firstConnect",
  "connect",
  "checkout",
  "reset",
  "checkin",
  "invalidate",
  "softInvalidate",
  "close",
  "detach",
  "closeDetached",
  "error",
];

/**
 * Notes every event in `server.calls` by its name and the connection's number: "connect 1", "checkin null". The event
 * `close` is "close event 1", since "close 1" is the driver's call; `error` shows its operation: "error reset".
 * `server.script["checkin"]` says what that listener does, given the event's arguments ("close event" for `close`).
 */
export function trace({ pool, server, ...rest }) {
  const fired = [];
  for (const event of events) {
    const name = event === "close" ? "close event" : event;
    pool.on(event, (...given) => {
      server.calls.push(`${name} ${event === "error" ? given[1].operation : (given[0]?.id ?? null)}`);
      fired.push([name, given]);
      return server.script[name]?.(...given);
    });
  }
  /** What each firing of this name was given, in order. */
  const given = (name) => fired.filter(([fired]) => fired === name).map(([, args]) => args);
  /** What happened since the last look. */
  const steps = () => server.calls.splice(0);
  return { pool, server, ...rest, given, steps };
}

/**
 * A traced pool of scripted connections on a virtual clock. `script.ping` answers pings, which are noted as "ping 1".
 */
export function tracedPool(options = {}, Kind = QueuePool) {
  const server = new Server();
  const { clock, poolClock } = virtualClock();
  const log = new Log();
  const doPing = (connection) => {
    server.calls.push(`ping ${connection.id}`);
    return server.script.ping ? server.script.ping(connection) : true;
  };
  const pool = new Kind(server.open, {
    clock: poolClock,
    logger: log,
    loggingName: "scripted",
    ...(Kind === QueuePool && { idleTimeout: null }),
    ...options,
    dialect: { doPing, ...options.dialect },
  });
  return trace({ pool, server, clock, log });
}

/** The smallest pool, in which everything happens to one slot. */
export const onePool = (options, Kind) => tracedPool({ poolSize: 1, maxOverflow: 0, ...options }, Kind);

/** Checks a connection out and returns it. */
export async function cycle(pool) {
  await (await pool.connect()).close();
}

/** What throws this error when it is called. */
export function thrower(error) {
  return () => {
    throw error;
  };
}

/** A connect() that its caller can leave: `leave()` aborts it; `error` is what it then rejects with. */
export function leavable(pool, options) {
  const controller = new AbortController();
  const reason = new Error("left");
  const caller = pool.connect({ ...options, signal: controller.signal });
  const error = caller.then(
    () => undefined,
    (thrown) => thrown,
  );
  return { caller, reason, error, leave: () => controller.abort(reason) };
}
