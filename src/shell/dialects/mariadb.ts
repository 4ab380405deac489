/**
 * The dialect of the MariaDB connector, for its connections of promises and of callbacks: reset by ROLLBACK only if the
 * status of the last answer says that a transaction is open, or if that is not known. Imports nothing of the connector.
 */

import { isTransient, type Dialect } from "../dialect.js";
import { expectDriver, refuse } from "./drivers.js";
import { endOfSession, maySetNext } from "./mysql-server.js";

/** What this dialect needs of a connection of `mariadb` or `mariadb/callback`. */
export interface MariadbConnection {
  isValid(): boolean;
  on(event: string, listener: (...args: any[]) => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
  rollback(...args: any[]): unknown;
  commit(...args: any[]): unknown;
  ping(...args: any[]): unknown;
  reset(...args: any[]): unknown;
  end(...args: any[]): unknown;
  destroy(): void;
}

/** What it has beyond its public types. */
interface Full extends MariadbConnection {
  query(statement: string, ...args: any[]): unknown;
  changeUser(...args: unknown[]): unknown;
  readonly info?: {
    /** Of the last answer of the server. After an error the connector sets {@link inTransactionBit}. */
    readonly status?: number;
    /** The present one, as the server reports it. */
    readonly database?: string;
    /** Destroys the socket, and rejects what is under way. Not in older versions. */
    fatalError?(error: Error, isReported: boolean): void;
  };
}

/** What runs for one call. A stream has the rows for its reader. */
interface Command {
  readonly sql?: string;
  readonly inStream?: {
    readonly readableFlowing: boolean | null;
    on(event: "error", listener: () => void): unknown;
  };
}

/** What stands behind a connection of either kind. */
interface Core {
  readonly opts?: { readonly collation?: unknown; readonly charset?: unknown };
  readonly status?: number;
  readonly sendQueue: { readonly length: number };
  /** What runs and what waits to run. */
  readonly receiveQueue: {
    readonly length: number;
    push(command: Command): void;
    peekFront(): Command | undefined;
    toArray(): Command[];
  };
  readonly socket?: { destroy(): void; isPaused?(): boolean };
}

/** What is known of a connection since its opening. */
interface Watched {
  readonly core: Core | undefined;
  readonly database: string | undefined;
  /** Whether it may be another user's. */
  hasOtherUser: boolean;
  /** Whether a statement may have set the next transaction, which no status says. */
  maySetNext: boolean;
  /** Whether it has lost its server. One that its caller has ended is not valid, either. */
  isLost: boolean;
  /** From its own end on it reports nothing. */
  isEnding: boolean;
}

const watchedConnections = new WeakMap<MariadbConnection, Watched>();

const inTransactionBit = 1;

/** Of the connector's states. What is more is the end. */
const unconnected = 1;
const connected = 5;

/**
 * ER_SOCKET_TIMEOUT of the connector. Not 1317 and 1969, of KILL QUERY and of max_statement_time: the connector calls
 * them fatal, but the connection goes on.
 */
const socketTimeout = 45026;

/** Of an opening that the server or the time has ended: ER_SOCKET_UNEXPECTED_CLOSE, ER_CONNECTION_TIMEOUT. */
const unavailable = new Set<unknown>([45009, 45012]);

const ignore = (): void => {};

/** Calls a method with a callback, or awaits its promise. */
function ask(connection: MariadbConnection, call: "rollback" | "commit" | "ping" | "reset"): Promise<unknown> {
  return answerOf(connection, (callback) => connection[call](...callback));
}

function answerOf(connection: MariadbConnection, call: (callback: Callback[]) => unknown): Promise<unknown> {
  // A connection of promises has a method without parameters.
  if (connection.rollback.length === 0) return call([]) as Promise<unknown>;
  return new Promise((resolve, reject) => call([(error, rows) => (error ? reject(error) : resolve(rows))]));
}

/** Rejects if a transaction is open even then, as with `completion_type = CHAIN`. */
async function endTransaction(connection: MariadbConnection, call: "rollback" | "commit"): Promise<void> {
  // The connector sends nothing if the status says that no transaction is open.
  if (watchedConnections.get(connection)?.maySetNext === true) await run(connection as Full, call.toUpperCase());
  else await ask(connection, call);
  if (((connection as Full).info?.status ?? 0) % 2 === inTransactionBit)
    throw new Error("the transaction is still open");
}

function run(connection: Full, statement: string): Promise<unknown> {
  return answerOf(connection, (callback) => connection.query(statement, ...callback));
}

type Callback = (error?: unknown, rows?: unknown) => void;

/** For `new QueuePool(() => createConnection(options), { dialect: mariadb })`. */
export const mariadb: Dialect<MariadbConnection> = {
  name: "mariadb",

  doCheck(connection) {
    expectDriver("mariadb", connection, ["rollback", "isValid"]);
    const status = "on" in connection ? coreOf(connection)?.status : undefined;
    if (status === undefined || status === connected) return undefined;
    if (status > connected || status === unconnected)
      refuse("mariadb", connection, "a Connection that is not connected", "the creator must wait for connect()");
    return "the creator returns a Connection of mariadb that is not connected yet; it must wait for connect()";
  },

  doRollback: (connection) => endTransaction(connection, "rollback"),

  doCommit: (connection) => endTransaction(connection, "commit"),

  /**
   * Sends COM_RESET_CONNECTION, and restores the database, which it leaves. Without options for a character set it also
   * restores that with which the connector opens a connection. Rejects if the connection may be another user's now:
   * then the pool opens another connection.
   */
  async doResetSession(connection) {
    const watched = watchedConnections.get(connection);
    if (watched?.hasOtherUser === true) throw new Error("changeUser() has changed the connection");
    const { info } = connection as Full;
    const database = watched?.database;
    if (database === undefined && info?.database !== undefined)
      throw new Error("a database was chosen for a connection without one");
    const { collation, charset } = watched?.core?.opts ?? {};
    const commands = [ask(connection, "reset")];
    // The connector does so only if it is another one then: otherwise that of the handshake is left.
    if (collation === undefined && charset === undefined) commands.push(run(connection as Full, "SET NAMES utf8mb4"));
    await Promise.all(commands);
    if (database !== undefined && info?.database !== database)
      await run(connection as Full, `USE \`${database.replaceAll("`", "``")}\``);
    if (watched !== undefined) watched.maySetNext = false;
  },

  /** Never the connector's `close()`, which is its `destroy()`. */
  async doClose(connection) {
    leave(connection);
    if (!connection.isValid()) return terminate(connection);
    await answerOf(connection, (callback) => connection.end(...callback));
  },

  doTerminate: terminate,

  async doPing(connection) {
    if (!connection.isValid()) return false;
    try {
      await ask(connection, "ping");
      return true;
    } catch (error) {
      if (!connection.isValid()) return false;
      throw error;
    }
  },

  /** Whatever `fatal` says: the connection itself is asked. */
  isDisconnect(error, connection) {
    if (typeof error !== "object" || error === null) return false;
    const { errno, message } = error as { errno?: unknown; message?: unknown };
    const end = endOfSession(errno, message) || (errno === socketTimeout && "connection");
    if (end !== false || connection.isValid()) return end;
    return watchedConnections.get(connection)?.isLost === false ? "connection" : true;
  },

  isTransient: (error) => isTransient(error) || unavailable.has((error as { errno?: unknown } | undefined)?.errno),

  guarded: [
    "query",
    "queryStream",
    "execute",
    "prepare",
    "batch",
    "importFile",
    "beginTransaction",
    "commit",
    "rollback",
    "changeUser",
    "ping",
    "reset",
    "end",
    "close",
    "destroy",
  ],

  doRefuse(error, given, _connection, name) {
    if (name === "queryStream" || name === "close" || name === "destroy") throw error;
    const callback = given.at(-1);
    if (typeof callback !== "function") return Promise.reject(error);
    queueMicrotask(() => (callback as Callback)(error));
    return undefined;
  },

  /** "stuck": its caller has ended it, has paused it, or no longer reads the rows of a stream. */
  isBusy(connection) {
    if (!connection.isValid()) return "stuck";
    const core = watchedConnections.get(connection)?.core;
    if (!isUnderWay(core)) return core?.socket?.isPaused?.() === true ? "stuck" : false;
    const rows = core?.receiveQueue.peekFront()?.inStream;
    return rows !== undefined && rows.readableFlowing !== true ? "stuck" : true;
  },

  /** Also true if that is not known: the connector then sends the ROLLBACK if it must. */
  inTransaction(connection) {
    const status = (connection as Full).info?.status;
    const watched = watchedConnections.get(connection);
    const core = watched?.core;
    const isKnown = core !== undefined && !isUnderWay(core) && typeof status === "number" && connection.isValid();
    return !isKnown || watched?.maySetNext === true || status % 2 === inTransactionBit;
  },

  /** Without a listener for its errors the first death would end the process. */
  onDisconnect(connection, died) {
    const watched = watch(connection as Full);
    const lost = (error: unknown): void => {
      if (watched.isEnding) return;
      watched.isLost = true;
      died(error);
    };
    const onEnd = (): void => lost(new Error("the server closed the connection"));
    connection.on("error", lost);
    connection.on("end", onEnd);
    return () => {
      connection.on("error", ignore);
      connection.removeListener("error", lost);
      connection.removeListener("end", onEnd);
    };
  },
};

function watch(connection: Full): Watched {
  const watched: Watched = {
    core: coreOf(connection),
    database: connection.info?.database,
    hasOtherUser: false,
    maySetNext: false,
    isLost: false,
    isEnding: false,
  };
  watchedConnections.set(connection, watched);
  if (watched.core !== undefined) watchStatements(watched.core, watched);
  const { changeUser } = connection;
  connection.changeUser = (...given) => {
    watched.hasOtherUser = true;
    return Reflect.apply(changeUser, connection, given) as unknown;
  };
  return watched;
}

/** The connector passes each command through this queue, in the order in which the server runs them. */
function watchStatements({ receiveQueue }: Core, watched: Watched): void {
  const { push } = receiveQueue;
  receiveQueue.push = (command) => {
    const { sql = "" } = command;
    // If one that ends a transaction fails, the connector takes the transaction as open.
    if (/^(?:commit|rollback)$/i.test(sql)) watched.maySetNext = false;
    else watched.maySetNext ||= maySetNext(sql);
    push.call(receiveQueue, command);
  };
}

/** A connection hides what stands behind it, but passes its listeners on: they are called on it. */
function coreOf(connection: MariadbConnection): Core | undefined {
  const owners: unknown[] = [];
  const onNewListener = function (this: unknown): void {
    owners.push(this);
  };
  connection.on("newListener", onNewListener);
  connection.on("error", ignore);
  connection.removeListener("newListener", onNewListener);
  connection.removeListener("error", ignore);
  const [core] = owners;
  return typeof core === "object" && core !== null && "sendQueue" in core && "receiveQueue" in core
    ? (core as Core)
    : undefined;
}

function isUnderWay(core: Core | undefined): boolean {
  return core !== undefined && core.sendQueue.length + core.receiveQueue.length > 0;
}

function leave(connection: MariadbConnection): void {
  connection.on("error", ignore);
  const watched = watchedConnections.get(connection);
  if (watched !== undefined) watched.isEnding = true;
}

/**
 * Destroys the socket. While a statement runs, the connector's own `destroy` waits for another connection, which it
 * opens to KILL this one.
 */
function terminate(connection: MariadbConnection): void {
  leave(connection);
  const { info } = connection as Full;
  const core = watchedConnections.get(connection)?.core;
  // The connector forgets the socket.
  const socket = core?.socket;
  // Its caller has left the stream, or destroyed it: the connector's error for it would end the process.
  for (const command of core?.receiveQueue.toArray() ?? []) command.inStream?.on("error", ignore);
  if (core === undefined || info?.fatalError === undefined) connection.destroy();
  else info.fatalError(new Error("the pool has ended the connection"), true);
  socket?.destroy();
}

export default mariadb;
