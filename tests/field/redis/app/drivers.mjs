// The two drivers, each with both versions of the protocol: how a program opens a client, and what it calls.

import { ioredis } from "edgepool/dialects/ioredis";
import { redis } from "edgepool/dialects/redis";
import { Redis } from "ioredis";
import { createClient } from "redis";

export { AssertionPool, NullPool, QueuePool } from "edgepool";

const ignore = () => {};

async function openIoredis(port, options) {
  const client = new Redis({ port, host: "127.0.0.1", lazyConnect: true, retryStrategy: null, ...options });
  let reason;
  client.on("error", (error) => (reason = error));
  await client.connect().catch((error) => {
    throw reason ?? error;
  });
  return client;
}

const ofIoredis = {
  dialect: ioredis,
  open: openIoredis,
  /** The client reconnects, as it does by default. */
  reconnecting: { retryStrategy: () => 1 },
  send: (client, ...args) => client.call(...args),
  multi: (client) => client.multi({ pipeline: false }),
  transaction: (client) => client.multi().incr("in-transaction").exec(),
  pipeline: (client) => client.pipeline().incr("in-pipeline").get("in-pipeline").exec(),
  async subscribe(client, channel, listener) {
    client.on("message", listener);
    await client.subscribe(channel);
  },
  subscribeInTransaction: (client, channel) => client.multi().subscribe(channel).exec().catch(ignore),
  monitor: (client) => client.call("monitor"),
  end: (client) => client.disconnect(),
  quit: (client) => client.quit(),
};

const ofRedis = {
  dialect: redis,
  open(port, { db, reconnecting, ...options } = {}) {
    const socket = { port, host: "127.0.0.1", reconnectStrategy: reconnecting ?? false };
    return createClient({ socket, database: db, ...options })
      .on("error", ignore)
      .connect();
  },
  reconnecting: { reconnecting: () => 1 },
  send: (client, ...args) => client.sendCommand(args.map(String)),
  multi: (client) => client.sendCommand(["MULTI"]),
  transaction: (client) => client.multi().incr("in-transaction").exec(),
  pipeline: (client) => client.multi().incr("in-pipeline").get("in-pipeline").execAsPipeline(),
  subscribe: (client, channel, listener) => client.subscribe(channel, listener),
  async subscribeInTransaction(client, channel) {
    await client.sendCommand(["MULTI"]);
    await client.subscribe(channel, ignore).catch(ignore);
  },
  monitor: (client) => client.monitor(ignore),
  end: (client) => client.destroy(),
  quit: (client) => client.close(),
};

const withOptions = (driver, given) => ({
  ...driver,
  open: (port, options) => driver.open(port, { ...given, ...options }),
});

/** Clients that were never connected, and what the other dialect says of them. */
export const unconnected = [
  { dialect: ioredis, other: redis, client: new Redis({ lazyConnect: true }), words: "a Redis" },
  { dialect: redis, other: ioredis, client: createClient(), words: "a client" },
];

export const drivers = {
  "ioredis, RESP3": ofIoredis,
  "ioredis, RESP2": withOptions(ofIoredis, { protocol: 2 }),
  "ioredis, automatic pipelines": withOptions(ofIoredis, { enableAutoPipelining: true }),
  "redis, RESP3": ofRedis,
  "redis, RESP2": withOptions(ofRedis, { RESP: 2 }),
};
