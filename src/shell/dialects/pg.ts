/**
 * The dialect of node-postgres (`pg`), for its Client: reset by ROLLBACK, skipped when the server last reported that no
 * transaction is open. Imports nothing of pg.
 */

import { isTransient, type DialectMembers } from "../dialect.js";
import { expectDriver, refuse, warnIfOlder } from "./drivers.js";

/** What this dialect needs of a `pg.Client`. */
export interface PgClient {
  query(text: string): Promise<unknown>;
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
}

/** The members of a client beyond its public types. */
interface ClientState {
  /** Undefined in pg.native. */
  readyForQuery?: boolean;
  _ending?: boolean;
  /** Both are false before connect(). */
  _connecting?: boolean;
  _connected?: boolean;
  /** False since its socket failed or closed. */
  _queryable?: boolean;
  getTransactionStatus?(): "I" | "T" | "E" | null;
  /** Undefined in pg.native. */
  connection?: ServerConnection;
  /** Null between queries, and from the server's error to its end of the query. */
  _activeQuery?: Submitted | null;
  _queryQueue?: Submitted[];
  /** The names before pg 8.17. Later versions warn at their use. */
  activeQuery?: Submitted | null;
  queryQueue?: Submitted[];
  _sentQueryQueue?: Submitted[];
  /** Of pg.native alone. */
  native?: NativeConnection;
  /** Whether pg.native has sent a batch of queries, which it no longer lists. */
  _pipelineInFlight?: boolean;
  processID?: number | null;
  secretKey?: unknown;
  host?: string;
  port?: number;
  ssl?: unknown;
  sslNegotiation?: string;
}

interface ServerConnection {
  stream?: { destroy?(): void; readonly destroyed?: boolean };
  /** Of an EventEmitter: adds a listener before those that are there. */
  prependListener?(event: "readyForQuery", listener: (message?: { status?: unknown }) => void): unknown;
  prependListener?(event: "errorMessage", listener: (error: { code?: unknown }) => void): unknown;
  once?(event: "readyForQuery" | "end", listener: () => void): unknown;
}

/** A client of pg-native, over libpq. */
interface NativeConnection {
  /** Null while a statement is under way, and after the connection is lost. Undefined before pg-native 3.8. */
  getTransactionStatus?(): "I" | "T" | "E" | null;
}

/**
 * What the server last reported of a client's transactions, by the client's connection: pg has
 * `getTransactionStatus()` since 8.21.
 */
const statuses = new WeakMap<ServerConnection, unknown>();

/**
 * The server's last error, by the client's connection, until the server is ready again. If the session ends before, the
 * error was FATAL. Its severity is a word of the server's language.
 */
const lastErrors = new WeakMap<ServerConnection, { code?: unknown }>();

/** What a client was given to run: a query of pg, or one with a `submit` of its own (cursor, query stream, COPY). */
interface Submitted {
  submit?: unknown;
  /** Of pg's own queries. */
  requiresPreparation?: unknown;
  /** Of a cursor, and of a query of pg.native. */
  state?: string;
  /** Of a query stream. */
  cursor?: { state?: string };
  writableEnded?: boolean;
  readableEnded?: boolean;
  destroyed?: boolean;
  write?: unknown;
  on?(event: "error", listener: () => void): unknown;
  destroy?(error: Error): unknown;
}

/** pg's own `Connection`: one socket, with TLS if that is asked for. */
interface PgConnection {
  readonly stream?: { destroy?(): void };
  on(event: "connect" | "sslconnect" | "end", listener: () => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  connect(port: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processID: number, secretKey: unknown): void;
}

/** How long the request to cancel may take, over a network that may swallow it. */
const cancelMs = 2_000;

/** The requests under way. */
const cancels = new WeakMap<PgClient, Promise<boolean>>();

/**
 * SQLSTATEs of a server that shuts down, or drops a database, whatever severity it gives them. Not class 08: that is
 * also said of a parameter too many (08P01) and of a foreign server (08006).
 */
const shutdownStates = /^57P0[1-4]$/;

/** SQLSTATEs of the end of one session: it was idle, or its transaction idle or open, for too long. */
const singleStates = /^(57P05|25P03|25P04)$/;

/** Errors of an established socket, by Node's code: for a client that does not say whether it is queryable. */
const networkCodes = new Set([
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "ECONNABORTED",
]);

/** The messages of pg for a client whose socket is gone; these errors have no code. */
const clientMessages = /^(Connection terminated|Client has encountered a connection error)/;

/** The messages of pg for a statement whose query_timeout ended, and for a client that its caller has ended. */
const singleMessages = /^(Query read timeout|Client was closed)/;

/**
 * Makes the session as good as new, in one round trip; a transaction must have ended before. Not DISCARD ALL: pg would
 * go on to use the prepared statements that the server has dropped. SET SESSION AUTHORIZATION also ends SET ROLE.
 */
const resetOfSession = [
  "SET SESSION AUTHORIZATION DEFAULT",
  "CLOSE ALL",
  "UNLISTEN *",
  "SELECT pg_advisory_unlock_all()",
  "DISCARD TEMP",
  "DISCARD SEQUENCES",
  "RESET ALL",
];

/**
 * The messages of a client that the server left while it connected, or did not answer in time, and those of pg.native.
 * They have no code.
 */
const openingMessages = new RegExp(
  "^(Connection terminated|timeout expired)|" +
    "^connection to server .*(Connection refused|No such file|timeout expired|the database system is |too many )",
);

const ignore = (): void => {};

/**
 * For `new QueuePool(() => connectedClient(), { dialect: pg })`, where the creator returns a connected `pg.Client`. It
 * should listen to the client's `error` before it connects. The server may end a session as it begins, and the pool
 * listens only after the creator has returned.
 */
export const pg: Required<Omit<DialectMembers<PgClient>, "keepsSlotUntilClosed">> = {
  name: "pg",

  doCheck(client) {
    const isDrivers = expectDriver("pg", client, ["query"]);
    const { _connecting, _connected } = client as ClientState;
    if (_connected !== false) {
      // pg.native has no `connection`, and the client of Neon is made of an older pg.
      const isPg = isDrivers && "connection" in client && !("neonConfig" in client);
      return isPg ? warnIfOlder("pg", "8.11", client, "_ended") : undefined;
    }
    if (_connecting === false)
      refuse("pg", client, "a Client that is not connected", "the creator must await its connect()");
    return "the creator returns a Client of pg that is not connected yet; it must await connect()";
  },

  /** Sends nothing if the server, which has just refused a statement, then says that no transaction is open. */
  async doRollback(client) {
    const isFailing = isRunning(client) && pg.isBusy(client) === false;
    if (isFailing && (await isReadyAgain(client)) && !pg.inTransaction(client)) return undefined;
    return client.query("ROLLBACK");
  },

  doCommit: (client) => client.query("COMMIT"),

  /**
   * Keeps prepared statements. In one message, so that it takes one round trip. A PoolObject sends its `statements`
   * along with a statement, which saves the round trip.
   */
  doResetSession: Object.assign(
    (client: PgClient) =>
      client.query((pg.inTransaction(client) ? ["ROLLBACK", ...resetOfSession] : resetOfSession).join("; ")),
    { statements: resetOfSession },
  ),

  doClose: (client) => client.end(),

  /**
   * Destroys the socket, so that the server rolls back and ends the session. A statement under way would go on there,
   * and commit: it is cancelled.
   */
  doTerminate(client) {
    const stream = (client as ClientState).connection?.stream;
    const queries = queriesOf(client);
    if (queries[0] !== null && isRunning(client)) void cancel(client);
    // Without a listener, pg's error for the destroyed socket would end the process, and so would that of a stream that
    // its caller left.
    client.on("error", ignore);
    for (const query of queries) if (query) abandon(query);
    if (stream?.destroy) stream.destroy();
    else void client.end().catch(ignore);
  },

  async doPing(client) {
    try {
      await client.query("SELECT 1");
      return true;
    } catch (error) {
      if (isDisconnect(error, client) !== false || !(await isReadyAgain(client))) return false;
      throw error;
    }
  },

  isDisconnect,

  /** A query with a `submit` of its own may wait for its reader; pg's own end by themselves. */
  isBusy(client) {
    if (!isRunning(client)) return false;
    // libpq reads whole answers.
    if (nativeOf(client) !== undefined) return true;
    const queries = queriesOf(client).filter((query) => query !== null);
    if (!queries.every((query) => query === undefined || endsByItself(query))) return "stuck";
    // The server has said that the query failed, and is about to say that it is ready.
    return queries.length > 0;
  },

  /** A CancelRequest, over a connection of its own. */
  doCancel: cancel,

  isTransient: (error) => isTransient(error) || openingMessages.test(String((error as Error | undefined)?.message)),

  /**
   * A query under way may open a transaction that the server has not reported yet: then it counts as open. So does one
   * on a client that its caller ended: its reset fails, and the next caller has another.
   */
  inTransaction(client) {
    if (!isReady(client)) return true;
    const { getTransactionStatus, connection } = client as ClientState;
    if (getTransactionStatus !== undefined) return (client as ClientState).getTransactionStatus?.() !== "I";
    if (connection === undefined) return nativeOf(client)?.getTransactionStatus?.() !== "I";
    return statuses.get(connection) !== "I";
  },

  guarded: ["query", "end"],

  /** A callback gets the error, and so does a query object such as a cursor or a stream. */
  doRefuse(error, given, client) {
    const [config] = given as [{ callback?: unknown; submit?: unknown; handleError?: unknown } | undefined];
    const callback = [given.at(-1), config?.callback].find((value) => typeof value === "function");
    if (callback !== undefined) return queueMicrotask(() => (callback as (error: unknown) => void)(error));
    if (typeof config?.submit !== "function" || typeof config.handleError !== "function") return Promise.reject(error);
    const query = config as { handleError(error: unknown, connection: unknown): void };
    queueMicrotask(() => query.handleError(error, (client as ClientState).connection));
    return query;
  },

  /** Without a listener an idle client's error ends the process. */
  onDisconnect(client, died) {
    const onError = (error: Error): void => died(error);
    const onEnd = (): void => died(new Error("the server closed the connection"));
    client.on("error", onError);
    client.on("end", onEnd);
    const { getTransactionStatus, connection } = client as ClientState;
    if (connection?.prependListener !== undefined) {
      // Before pg's own listeners, which call the callbacks of queries.
      connection.prependListener("errorMessage", (error) => {
        lastErrors.set(connection, error);
        connection.once?.("readyForQuery", () => lastErrors.delete(connection));
      });
      if (getTransactionStatus === undefined)
        connection.prependListener("readyForQuery", (message) => void statuses.set(connection, message?.status));
    }
    // The end of a session may come in one packet with its beginning.
    if ((client as ClientState)._queryable === false) onEnd();
    return () => {
      client.on("error", ignore);
      client.removeListener("error", onError);
      client.removeListener("end", onEnd);
    };
  },
};

/** Returns libpq's client, of a client of pg.native. */
function nativeOf(client: PgClient): NativeConnection | undefined {
  const { readyForQuery, native } = client as ClientState;
  return readyForQuery === undefined ? native : undefined;
}

/** Returns the queries that have not ended, the active one first. In its place is null if there is none. */
function queriesOf(client: PgClient): Array<Submitted | null | undefined> {
  const state = client as ClientState;
  const active = state._queryQueue === undefined ? state.activeQuery : state._activeQuery;
  return [active, ...(state._queryQueue ?? state.queryQueue ?? []), ...(state._sentQueryQueue ?? [])];
}

/** Whether the server is known to have nothing to do, and the client takes statements. */
function isReady(client: PgClient): boolean {
  const { readyForQuery, _ending } = client as ClientState;
  if (_ending === true) return false;
  if (readyForQuery === true) return true;
  const native = nativeOf(client);
  return native?.getTransactionStatus !== undefined && !isNativeRunning(client, native);
}

/**
 * Returns whether the server is ready after an error. The word for FATAL is that of its language, but after a FATAL
 * error the session ends.
 */
async function isReadyAgain(client: PgClient): Promise<boolean> {
  const { connection } = client as ClientState;
  if (isRunning(client) && connection?.once !== undefined)
    await new Promise<void>((resolve) => {
      connection.once?.("readyForQuery", resolve);
      connection.once?.("end", resolve);
    });
  return isReady(client);
}

/** Whether the server has something to do, and can be reached. */
function isRunning(client: PgClient): boolean {
  const { readyForQuery, _queryable, _ending, connection } = client as ClientState;
  if (_queryable === false || _ending === true) return false;
  const native = nativeOf(client);
  if (native !== undefined) return isNativeRunning(client, native);
  return readyForQuery === false && connection?.stream?.destroyed !== true;
}

/** A statement whose query_timeout has ended is no query of the client any more, but libpq still waits for it. */
function isNativeRunning(client: PgClient, native: NativeConnection): boolean {
  const [active, ...queued] = queriesOf(client);
  if (queued.length > 0 || (client as ClientState)._pipelineInFlight === true) return true;
  const isActive = active != null && active.state !== "end" && active.state !== "error";
  return isActive || native.getTransactionStatus?.() === null;
}

function endsByItself(query: Submitted): boolean {
  if (query.submit === undefined || query.requiresPreparation !== undefined) return true;
  const { state } = query.cursor ?? query;
  if (state === "done" || state === "error") return true;
  return (
    query.writableEnded === true ||
    query.readableEnded === true ||
    // A destroyed COPY FROM sends the server its failure.
    (query.destroyed === true && typeof query.write === "function")
  );
}

/** Its reader may still come: a stream that is not destroyed would then wait for a server that is gone. */
function abandon(query: Submitted): void {
  query.on?.("error", ignore);
  if (endsByItself(query) || query.destroy === undefined) return;
  // Otherwise the stream would wait for its cursor to close at the server.
  if (query.cursor) query.cursor.state = "done";
  query.destroy(new Error("Connection terminated by the pool"));
}

/** Returns whether the server has got the request. Never throws, and takes at most {@link cancelMs}. */
function cancel(client: PgClient): Promise<boolean> {
  let request = cancels.get(client);
  if (request === undefined) {
    request = requestCancel(client).finally(() => cancels.delete(client));
    cancels.set(client, request);
  }
  return request;
}

/**
 * Uses pg's own `Connection`, and so its sockets and its TLS. Resolves when the server has closed the connection: it
 * has interrupted the statement by then, and no later one.
 */
async function requestCancel(client: PgClient): Promise<boolean> {
  const {
    connection: own,
    processID,
    secretKey,
    host = "localhost",
    port = 5432,
    ssl,
    sslNegotiation,
  } = client as ClientState;
  if (typeof processID !== "number" || secretKey === null || secretKey === undefined) return false;
  let connection: PgConnection | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isSent = false;
  try {
    return await new Promise<boolean>((resolve, reject) => {
      // Bun takes `own?.constructor` for a syntax error. Without a connection this throws, as the next line would.
      const { constructor } = own as PgConnection;
      const Connection = constructor as unknown as new (options: object) => PgConnection;
      const request = (connection = new Connection({ ssl, sslNegotiation }));
      timer = setTimeout(() => resolve(false), cancelMs);
      const send = (): void => {
        isSent = true;
        request.cancel(processID, secretKey);
      };
      // Also after the end: an error of a socket that no one listens to would end the process.
      request.on("error", reject);
      request.on("end", () => resolve(isSent));
      request.on("sslconnect", send);
      request.on("connect", () => {
        if (!ssl) send();
        else if (sslNegotiation !== "direct") request.requestSsl();
      });
      if (host.startsWith("/")) request.connect(`${host}/.s.PGSQL.${port}`);
      else request.connect(port, host);
    });
  } catch {
    // A server may reset the connection of a request that it has taken.
    return isSent;
  } finally {
    clearTimeout(timer);
    connection?.stream?.destroy?.();
  }
}

/**
 * A FATAL error ends a session, which need not be this one's. The codes of a failed socket are also those of other
 * services that a caller may speak to. The client knows: if it is at rest, the session that ended was another.
 */
function isDisconnect(error: unknown, client: PgClient): boolean | "connection" {
  if (typeof error !== "object" || error === null) return false;
  const { code, severity, message } = error as { code?: unknown; severity?: unknown; message?: unknown };
  // The server only reads, as after a failover: the connection is alive, and of no use.
  if (code === "25006") return "connection";
  const { _queryable, _ending, connection } = client as ClientState;
  if (_queryable === true && isReady(client)) return false;
  const is = (pattern: RegExp, text: unknown): boolean => typeof text === "string" && pattern.test(text);
  if (is(singleStates, code) || is(singleMessages, message)) return "connection";
  if (severity === "PANIC" || is(shutdownStates, code)) return true;
  // In another language the end of the session follows a moment later.
  if (severity === "FATAL") return "connection";
  const isGone = _queryable === undefined ? networkCodes.has(code as string) : !_queryable;
  if (!isGone && !is(clientMessages, message)) return false;
  const reason = connection && lastErrors.get(connection);
  if (reason !== undefined) return is(shutdownStates, reason.code) || "connection";
  return _ending === true ? "connection" : true;
}

export default pg;
