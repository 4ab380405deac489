/**
 * The dialect of redis (node-redis): what a caller left is reset by DISCARD, UNSUBSCRIBE, UNWATCH and SELECT, and only
 * if the commands that passed may have left it. Imports nothing of redis.
 */

import { isTransient, type Dialect } from "../dialect.js";
import { expectDriver, refuse } from "./drivers.js";
import { isBlocking, isUnavailable, messageOf, RedisSession } from "./redis-session.js";

/** What this dialect needs of a client of redis. */
export interface RedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  on(event: string, listener: (...args: any[]) => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
  sendCommand(args: any, options?: any): Promise<unknown>;
  close(): Promise<unknown>;
  destroy(): void;
}

/** Where every command of a client passes. */
interface Queue {
  readonly pendingCount: number;
  addCommand(args: readonly unknown[], options?: unknown): Promise<unknown>;
  monitor(...given: unknown[]): unknown;
  reset(...given: unknown[]): unknown;
  subscribe(...given: unknown[]): unknown;
  extendPubSubChannelListeners(...given: unknown[]): unknown;
  extendPubSubListeners(...given: unknown[]): unknown;
}

/** The client, with what it has beyond its public types. */
interface Core extends RedisClient {
  readonly options?: { readonly database?: number; readonly socket?: { readonly reconnectStrategy?: unknown } };
  readonly isPubSubActive: boolean;
  /** Not in older versions. */
  _getQueue?(): Queue;
  select(database: number): Promise<unknown>;
  unsubscribe(): Promise<unknown>;
  pUnsubscribe(): Promise<unknown>;
  sUnsubscribe(): Promise<unknown>;
}

interface Watched {
  readonly queue: Queue;
  readonly session: RedisSession;
  /** Whether one of the commands under way may wait for other clients. */
  mayBlock: boolean;
}

const watchedClients = new WeakMap<RedisClient, Watched>();

/** The clients that have lost their server. Those that a caller ended are closed, too. */
const lostClients = new WeakSet<RedisClient>();

/** What redis says of an opening that the server or the time has ended. */
const openingMessages = new Set(["Socket closed unexpectedly", "Connection timeout"]);

const reconnects =
  "the creator returns a client of redis that reconnects; give it socket.reconnectStrategy: false, or an opening " +
  "that fails goes on in the background";

const ignore = (): void => {};

/**
 * What passes by other ways, and the command that leaves as much. A subscription counts even if its caller has ended
 * it: in RESP2 the client then answers with Buffers. A RESET selects the last database again.
 */
const otherWays = {
  monitor: "MONITOR",
  reset: "SELECT",
  subscribe: "SUBSCRIBE",
  extendPubSubChannelListeners: "SUBSCRIBE",
  extendPubSubListeners: "SUBSCRIBE",
} as const;

/** What neither sends a command nor ends the connection. */
const harmless = new Set(
  (
    "on once off addListener prependListener prependOnceListener removeListener removeAllListeners emit eventNames " +
    "listeners rawListeners listenerCount getMaxListeners setMaxListeners duplicate createPool ref unref " +
    "getPubSubListeners"
  ).split(" "),
);

/** What answers at once: a transaction, an iterator, another view of the client, or nothing. */
const synchronous = /^(multi|MULTI|destroy|legacy|asap|with\w+|\w+Iterator)$/;

/** For `new QueuePool(() => createClient({ url }).on("error", log).connect(), { dialect: redis })`. */
export const redis: Dialect<RedisClient> = {
  name: "redis",

  doCheck(client) {
    expectDriver("redis", client, ["sendCommand", "destroy"]);
    const { isOpen, isReady, options } = client as Core;
    if (isOpen === false) refuse("redis", client, "a client that is not connected", "the creator must await connect()");
    if (options?.socket?.reconnectStrategy !== false && options !== undefined) return reconnects;
    return isReady === false
      ? "the creator returns a client of redis that is not connected yet; it must await connect()"
      : undefined;
  },

  doRollback: (client) => reset(client as Core, "DISCARD"),

  doCommit: (client) => reset(client as Core, "EXEC"),

  /** Throws if only a new connection is without what was left. */
  doResetSession(client) {
    watchedClients.get(client)?.session.assertNothingLeft();
    return reset(client as Core, "DISCARD");
  },

  doClose(client) {
    client.on("error", ignore);
    return client.isOpen ? client.close() : terminate(client);
  },

  doTerminate: terminate,

  async doPing(client) {
    if (!client.isReady) return false;
    try {
      await client.sendCommand(["PING"]);
      return true;
    } catch (error) {
      if (!client.isReady) return false;
      throw error;
    }
  },

  isDisconnect(error, client) {
    if (!(error instanceof Error)) return false;
    if (!client.isReady) return lostClients.has(client) ? true : "connection";
    // A replica, as after a failover: the connection is alive, and of no use.
    return error.message.startsWith("READONLY ") ? "connection" : false;
  },

  isTransient: (error) => isTransient(error) || isUnavailable(error) || openingMessages.has(messageOf(error)),

  /** "stuck": its caller has ended it, or it would later take an element for a caller that has gone. */
  isBusy(client) {
    if (!client.isReady || !client.isOpen) return "stuck";
    const watched = watchedClients.get(client);
    if (watched === undefined) return false;
    if (watched.session.stuckBy !== undefined) return "stuck";
    if (watched.queue.pendingCount > 0) return watched.mayBlock ? "stuck" : true;
    watched.mayBlock = false;
    return false;
  },

  /** Also true if that is not known. */
  inTransaction: (client) => isDirty(client as Core),

  guarded: (name) => !harmless.has(name) && !name.startsWith("_"),

  doRefuse(error, _given, _client, name) {
    if (synchronous.test(name)) throw error;
    return Promise.reject(error);
  },

  /** From now on the dialect knows what passes, and the client does not reconnect. */
  onDisconnect(client, died) {
    watch(client as Core);
    // An error of the decoder leaves the client ready.
    const onError = (error: unknown): void => {
      if (client.isReady) return;
      lostClients.add(client);
      // Before it reconnects: what its caller had would be gone.
      terminate(client);
      died(error);
    };
    client.on("error", onError);
    return () => {
      client.on("error", ignore);
      client.removeListener("error", onError);
    };
  },
};

/** Lets the session see every command. An older version hides them: then each return resets everything. */
function watch(core: Core): void {
  const queue = core._getQueue?.();
  if (queue === undefined) return;
  const session = new RedisSession();
  const watched = { queue, session, mayBlock: false };
  watchedClients.set(core, watched);
  const { addCommand } = queue;
  queue.addCommand = function (args, ...rest) {
    const [name, ...given] = args;
    const answered = session.sends(name, given);
    if (isBlocking(name, given)) watched.mayBlock = true;
    const answer = Reflect.apply(addCommand, queue, [args, ...rest]) as Promise<unknown>;
    if (answered !== undefined) answer.then(() => answered(), answered);
    return answer;
  };
  for (const [method, command] of Object.entries(otherWays) as Array<[keyof typeof otherWays, string]>) {
    const send = queue[method];
    queue[method] = function (...given) {
      session.sends(command, []);
      return Reflect.apply(send, queue, given) as unknown;
    };
  }
}

function isDirty(core: Core): boolean {
  return !core.isReady || core.isPubSubActive || watchedClients.get(core)?.session.isClean !== true;
}

/** Costs no round trip if nothing was left. */
function reset(core: Core, end: "DISCARD" | "EXEC"): Promise<void> | undefined {
  const isUnderWay = (watchedClients.get(core)?.queue.pendingCount ?? 0) > 0;
  return isDirty(core) || isUnderWay ? resetAll(core, end) : undefined;
}

async function resetAll(core: Core, end: "DISCARD" | "EXEC"): Promise<void> {
  if (!core.isReady) throw new Error("the client is closed");
  const session = watchedClients.get(core)?.session ?? new RedisSession();
  const isKnown = watchedClients.has(core);
  const hasTransaction = !isKnown || session.hasTransaction;
  await session.reset(async () => {
    const sent = session.own(() => [
      hasTransaction ? core.sendCommand([end]).catch(unlessWithout) : undefined,
      ...(core.isPubSubActive || session.subscriptions.size > 0 ? unsubscribe(core) : []),
      hasTransaction ? core.sendCommand(["UNWATCH"]).then(assertOver) : undefined,
      !isKnown || session.hasOtherDatabase ? core.select(core.options?.database ?? 0) : undefined,
      // A client that is only busy is waited for.
      isDirty(core) ? undefined : core.sendCommand(["PING"]),
    ]);
    await Promise.all(sent);
  });
}

/** Only with the last of them, when nothing is left, a client of RESP2 answers with texts again. */
function unsubscribe(core: Core): Promise<unknown>[] {
  return [core.unsubscribe(), core.pUnsubscribe(), core.sUnsubscribe().catch(unlessUnknown), core.unsubscribe()];
}

/** Redis has shards since version 7. */
function unlessUnknown(error: unknown): void {
  if (!(error instanceof Error && error.message.startsWith("ERR unknown command"))) throw error;
}

/** In a MULTI a command is only queued. */
function assertOver(answer: unknown): void {
  if (String(answer) === "QUEUED") throw new Error("the transaction is still open");
}

function unlessWithout(error: unknown): void {
  // A subscriber takes nothing else in RESP2, and has no MULTI.
  if (!(error instanceof Error && / without MULTI$|^ERR Can't execute /.test(error.message))) throw error;
}

/** A second time older versions throw. */
function terminate(client: RedisClient): void {
  client.on("error", ignore);
  try {
    client.destroy();
  } catch {
    // It is closed.
  }
}

export default redis;
