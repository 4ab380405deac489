/**
 * The dialect of ioredis: what a caller left is reset by DISCARD, UNWATCH, UNSUBSCRIBE and SELECT, and only if the
 * commands that passed may have left it. Never by RESET, after which ioredis and the server disagree. Imports nothing
 * of ioredis.
 */

import { isTransient, type Dialect } from "../dialect.js";
import { expectDriver, refuse } from "./drivers.js";
import { isBlocking, isUnavailable, messageOf, RedisSession, type Answered } from "./redis-session.js";

/** What this dialect needs of a `Redis` of ioredis. */
export interface IoredisClient {
  readonly status: string;
  on(event: string, listener: (...args: any[]) => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
  quit(): Promise<unknown>;
  disconnect(reconnect?: boolean): void;
}

/** A command of ioredis. */
interface Command {
  readonly name: string;
  readonly args: readonly unknown[];
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** What a client is subscribed to. */
interface Subscriber {
  channels(kind: "subscribe" | "psubscribe" | "ssubscribe"): string[];
}

interface Pipeline {
  call(command: string): unknown;
  unsubscribe(channels: string[]): unknown;
  punsubscribe(patterns: string[]): unknown;
  sunsubscribe(channels: string[]): unknown;
  select(database: number): unknown;
  /** Sends it. */
  exec(): Promise<Array<[Error | null, unknown]> | null>;
}

/** The client, with what it has beyond its public types. */
interface Core extends IoredisClient {
  readonly options: { readonly db?: number; retryStrategy?: unknown };
  readonly condition?: { readonly select?: number; readonly subscriber?: Subscriber | false };
  /** `"subscriber"`: takes no other command, in RESP2. */
  readonly mode: string;
  readonly commandQueue: { readonly length: number; peekFront(): { readonly command: Command } | undefined };
  readonly offlineQueue: { readonly length: number };
  /** How many commands wait for the automatic pipeline. */
  readonly autoPipelineQueueSize?: number;
  /** Whether its caller ends it. */
  readonly manuallyClosing?: boolean;
  readonly stream?: {
    readonly writable: boolean;
    destroy(): void;
    prependListener(event: string, listener: () => void): unknown;
    removeListener(event: string, listener: () => void): unknown;
  };
  sendCommand(command: Command, ...rest: unknown[]): unknown;
  ping(): Promise<unknown>;
  pipeline(): Pipeline;
}

interface Watched {
  readonly session: RedisSession;
  /** The database of the opening. */
  readonly database: number;
  /** Whether a caller had ended it when its socket closed. */
  wasEnded: boolean;
}

const watchedClients = new WeakMap<IoredisClient, Watched>();

const reconnects =
  "the creator returns a Redis of ioredis that reconnects; give it retryStrategy: null, or an opening that fails " +
  "goes on in the background";

const ignore = (): void => {};

/** What neither sends a command nor ends the connection. */
const harmless = new Set(
  (
    "on once off addListener prependListener prependOnceListener removeListener removeAllListeners emit silentEmit " +
    "eventNames listeners rawListeners listenerCount getMaxListeners setMaxListeners duplicate defineCommand " +
    "getBuiltinCommands createBuiltinCommand addBuiltinCommand"
  ).split(" "),
);

/** What answers at once: a pipeline, a stream, or nothing. */
const synchronous = /^(pipeline|multi|disconnect|end|\w+Stream)$/;

/** For `new QueuePool(open, { dialect: ioredis })`, with a creator that awaits `connect()` of a `Redis`. */
export const ioredis: Dialect<IoredisClient> = {
  name: "ioredis",

  doCheck(client) {
    expectDriver("ioredis", client, ["sendCommand", "disconnect"]);
    const { status, options } = client as Core;
    if (["wait", "close", "end"].includes(status))
      refuse("ioredis", client, "a Redis that is not connected", "the creator must await connect()");
    if (typeof options?.retryStrategy === "function") return reconnects;
    return ["connecting", "connect"].includes(status)
      ? "the creator returns a Redis of ioredis that is not connected yet; it must await connect()"
      : undefined;
  },

  doRollback: (client) => reset(client as Core, "DISCARD"),

  doCommit: (client) => reset(client as Core, "EXEC"),

  /** Throws if only a new connection is without what was left. */
  doResetSession(client) {
    watchedClients.get(client)?.session.assertNothingLeft();
    return reset(client as Core, "DISCARD");
  },

  /** Is over when the socket is. */
  doClose(client) {
    client.on("error", ignore);
    if (!isAlive(client as Core)) return terminate(client as Core);
    return new Promise<void>((resolve) => {
      client.on("end", resolve);
      client.quit().catch(() => terminate(client as Core));
    });
  },

  /** Destroys the socket. ioredis' own `disconnect` waits for the server to close it. */
  doTerminate: (client) => terminate(client as Core),

  async doPing(client) {
    if (!isAlive(client as Core)) return false;
    try {
      await (client as Core).ping();
      return true;
    } catch (error) {
      if (!isAlive(client as Core)) return false;
      throw error;
    }
  },

  isDisconnect(error, client) {
    if (!(error instanceof Error)) return false;
    if (!isAlive(client as Core)) return wasEnded(client as Core) ? "connection" : true;
    // A replica, as after a failover: the connection is alive, and of no use.
    if (error.message.startsWith("READONLY ")) return "connection";
    // The time of one command is over, but not the command.
    return error.message === "Command timed out" && isUnderWay(client as Core) ? "connection" : false;
  },

  /** ioredis itself says no more of an opening than that its connection is closed: the reason is in an event. */
  isTransient: (error) => isTransient(error) || isUnavailable(error) || messageOf(error) === "Connection is closed.",

  /** "stuck": its caller has ended it, or it would later take an element for a caller that has gone. */
  isBusy(client) {
    const core = client as Core;
    if (!isAlive(core) || watchedClients.get(client)?.session.stuckBy !== undefined) return "stuck";
    if (!isUnderWay(core)) return false;
    const first = core.commandQueue.peekFront()?.command;
    return first !== undefined && isBlocking(first.name, first.args) ? "stuck" : true;
  },

  /** Also true if that is not known. */
  inTransaction: (client) => isDirty(client as Core),

  guarded: (name) => !harmless.has(name),

  doRefuse(error, given, _client, name) {
    if (synchronous.test(name)) throw error;
    const callback = given.at(-1);
    if (typeof callback !== "function") return Promise.reject(error);
    queueMicrotask(() => (callback as (error: unknown) => void)(error));
    return undefined;
  },

  /**
   * From now on the dialect knows what passes, and the client does not reconnect: what it restores then is not what its
   * caller had.
   */
  onDisconnect(client, died) {
    const core = client as Core;
    const watched = watch(core);
    core.options.retryStrategy = null;
    let failure: unknown;
    const onError = (error: unknown): void => void (failure = error);
    const onClose = (): void => died(failure ?? new Error("the server closed the connection"));
    const onStreamClose = (): void => void (watched.wasEnded = core.manuallyClosing === true);
    const { stream } = core;
    client.on("error", onError);
    client.on("close", onClose);
    stream?.prependListener("close", onStreamClose);
    return () => {
      client.on("error", ignore);
      client.removeListener("error", onError);
      client.removeListener("close", onClose);
      stream?.removeListener("close", onStreamClose);
    };
  },
};

/** Lets the session see every command: of the client, of its pipelines, and of its transactions. */
function watch(core: Core): Watched {
  const session = new RedisSession();
  const watched = { session, database: core.condition?.select ?? core.options.db ?? 0, wasEnded: false };
  watchedClients.set(core, watched);
  const { sendCommand } = core;
  core.sendCommand = function (command, ...rest) {
    // Before that it is the client's own, or waits to be sent again.
    const answered = core.status === "ready" ? session.sends(command.name, command.args) : undefined;
    if (answered !== undefined) listen(command, answered);
    return Reflect.apply(sendCommand, core, [command, ...rest]);
  };
  return watched;
}

/** Calls `answered` with the answer of the command, before the answer has any effect. */
function listen(command: Command, answered: Answered): void {
  const { resolve, reject } = command;
  command.resolve = (result) => (answered(), Reflect.apply(resolve, command, [result]));
  command.reject = (error) => (answered(error), Reflect.apply(reject, command, [error]));
}

/** Whether it takes commands. A client that its caller disconnects is "ready" until its socket is closed. */
function isAlive({ status, stream }: Core): boolean {
  return status === "ready" && stream?.writable !== false;
}

/** Whether its caller has ended it: then its death says nothing of the server. */
function wasEnded(core: Core): boolean {
  return core.manuallyClosing === true || watchedClients.get(core)?.wasEnded === true;
}

function isUnderWay({ commandQueue, offlineQueue, autoPipelineQueueSize = 0 }: Core): boolean {
  return commandQueue.length + offlineQueue.length + autoPipelineQueueSize > 0;
}

function isDirty(core: Core): boolean {
  const { autoPipelineQueueSize = 0, offlineQueue } = core;
  return (
    !isAlive(core) ||
    autoPipelineQueueSize + offlineQueue.length > 0 ||
    watchedClients.get(core)?.session.isClean !== true
  );
}

/** Costs no round trip if nothing was left. */
function reset(core: Core, end: "DISCARD" | "EXEC"): Promise<void> | undefined {
  return isDirty(core) || isUnderWay(core) ? resetAll(core, end) : undefined;
}

async function resetAll(core: Core, end: "DISCARD" | "EXEC"): Promise<void> {
  const watched = watchedClients.get(core);
  if (watched === undefined) throw new Error("the client was not opened by this pool");
  const { session, database } = watched;
  if (!isAlive(core)) throw new Error("the client is closed");
  // Then everything was seen, also what waits for the automatic pipeline, and every subscription is known.
  if (isUnderWay(core)) await core.ping();
  await session.reset(async () => {
    const { hasTransaction, hasOtherDatabase } = session;
    const isSubscriber = core.mode === "subscriber";
    const unsubscribe = (pipeline: Pipeline): void =>
      unsubscribeFrom(core.condition?.subscriber || undefined, pipeline);
    // A subscriber takes nothing else, and has no MULTI.
    if (isSubscriber) await send(core, session, unsubscribe);
    await send(core, session, (pipeline) => {
      if (hasTransaction) pipeline.call(end);
      if (!isSubscriber) unsubscribe(pipeline);
      if (hasTransaction) pipeline.call("UNWATCH");
      if (hasOtherDatabase) pipeline.select(database);
    });
    // Of a SUBSCRIBE in a MULTI ioredis takes the answer QUEUED for a subscription, which it cannot end.
    if (core.mode === "subscriber") throw new Error("the client is still a subscriber");
  });
}

/** By name: of an UNSUBSCRIBE from all ioredis does not know the last answer while another kind is left. */
function unsubscribeFrom(subscriber: Subscriber | undefined, pipeline: Pipeline): void {
  const [channels = [], patterns = [], shards = []] =
    subscriber === undefined
      ? []
      : (["subscribe", "psubscribe", "ssubscribe"] as const).map((kind) => subscriber.channels(kind));
  if (channels.length > 0) pipeline.unsubscribe(channels);
  if (patterns.length > 0) pipeline.punsubscribe(patterns);
  if (shards.length > 0) pipeline.sunsubscribe(shards);
}

/** Sends what `fill` puts into a pipeline. Rejects if Redis refuses any of it, or has only queued it in a MULTI. */
async function send(core: Core, session: RedisSession, fill: (pipeline: Pipeline) => void): Promise<void> {
  const pipeline = core.pipeline();
  fill(pipeline);
  const results = await session.own(() => pipeline.exec());
  for (const [error, result] of results ?? []) {
    if (error !== null && !error.message.endsWith(" without MULTI")) throw error;
    if (result === "QUEUED") throw new Error("the transaction is still open");
  }
}

function terminate(core: Core): void {
  core.on("error", ignore);
  core.disconnect();
  core.stream?.destroy();
}

export default ioredis;
