// @ts-check
// Pools of every kind over scripted connections, and their events in the trace of the driver's calls.

import { expect } from "chai";
import { ArgumentError, QueuePool } from "edgepool";
import { everywhere, Log, Server, thrown, virtualClock } from "./scripted.mjs";

/** A server whose connections answer a ping, too: `script.ping`, or true. */
export class PingServer extends Server {
  connection() {
    const connection = super.connection();
    connection.ping = () => {
      this.calls.push(`ping ${connection.id}`);
      const { ping } = this.script;
      return ping === undefined ? true : ping(connection);
    };
    return connection;
  }
}

/** The dialect that asks the connection. */
export const pings = { doPing: (connection) => connection.ping() };

/** A pool of this kind of scripted connections on a virtual clock. */
export function scriptedKind(Kind, options = {}) {
  const server = new PingServer();
  const { clock, poolClock } = virtualClock();
  const log = new Log();
  const defaults = Kind === QueuePool ? everywhere : {};
  const pool = new Kind(server.open, {
    clock: poolClock,
    logger: log,
    loggingName: "scripted",
    ...defaults,
    ...options,
  });
  return { pool, server, clock, log };
}

export const eventNames = [
  "connect",
  "firstConnect",
  "checkout",
  "checkin",
  "reset",
  "invalidate",
  "softInvalidate",
  "close",
  "detach",
  "closeDetached",
  "error",
];

/** Writes every event into the server's trace: "on checkout 1", "on checkin null", "on error reset". */
export function traced(context) {
  const { pool, server } = context;
  for (const name of eventNames) {
    pool.on(name, (subject, second, third) => {
      if (name === "error") server.calls.push(`on error ${second.operation}`);
      else if (name === "reset")
        server.calls.push(`on reset ${subject.id}${third.terminateOnly ? " terminateOnly" : ""}`);
      else server.calls.push(`on ${name} ${subject?.id ?? null}`);
    });
  }
  return context;
}

/** What the trace got since it was last asked. */
export function newCalls({ server }) {
  return server.calls.splice(0);
}

/** Options that only some kinds have, each with a value that is good there. */
const extras = {
  poolSize: 2,
  maxOverflow: 0,
  timeout: 5,
  useLifo: true,
  maxWaiters: 1,
  idleTimeout: 5,
  minIdle: 1,
  maxUses: 2,
  maxConnecting: 2,
  storeTraceback: true,
};

/** Every option that is another kind's is refused by its name, with its value and the kind's name. */
export function expectExtrasRefused(Kind, name, own = []) {
  for (const [option, value] of Object.entries({ ...extras, pool_size: 5 })) {
    if (own.includes(option)) continue;
    const error = /** @type {Error} */ (thrown(() => new Kind(() => ({}), { [option]: value, loggingName: "mine" })));
    expect(error, option).to.be.instanceOf(ArgumentError);
    expect(error, option).to.include({ code: "ERR_POOL_ARGUMENT", pool: "mine" });
    expect(error.message, option).to.contain(`"${option}"`).and.to.contain(name).and.to.contain(String(value));
  }
}
