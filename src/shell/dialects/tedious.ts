/**
 * The dialect of tedious, for SQL Server: reset by a rollback only if the server has said that a transaction is open,
 * in a statement of any kind. tedious refuses a request while another one runs, so a reset waits for it. Imports
 * nothing of tedious.
 */

import { isTransient, type Dialect } from "../dialect.js";
import { expectDriver, refuse } from "./drivers.js";

/** What this dialect needs of a `Connection` of tedious. */
export interface TediousConnection {
  on(event: string, listener: (...args: any[]) => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
  beginTransaction(callback: any, ...rest: any[]): void;
  commitTransaction(callback: any, ...rest: any[]): void;
  rollbackTransaction(callback: any, ...rest: any[]): void;
  execSqlBatch(request: any): void;
  reset(callback: any): void;
  close(): void;
}

type Callback = (error?: unknown) => void;

interface Request {
  callback: (...given: unknown[]) => void;
  /** Whether its rows wait for a reader. */
  readonly paused?: boolean;
}

/** A connection, with what it has beyond its public types. */
interface Core extends TediousConnection {
  readonly closed: boolean;
  /** Follows what the server says, unless the protocol is older than that. */
  readonly inTransaction: boolean;
  readonly state: { readonly name: string };
  /** What it runs. */
  readonly request?: Request;
  readonly config?: { readonly options?: { readonly tdsVersion?: string } };
  makeRequest(request: Request, ...rest: unknown[]): void;
}

/** The state in which tedious takes a request. */
const atRest = "LoggedIn";

/** Since this version of the protocol the server says when a transaction begins and ends. */
const firstWithTransactions = "7_2";

/** Of a ROLLBACK or COMMIT without a transaction. */
const withoutTransaction = new Set<unknown>([3902, 3903]);

const ignore = (): void => {};

/** The connections that have lost their server. Those that a caller ended are closed, too. */
const lostConnections = new WeakSet<TediousConnection>();

/** For `new QueuePool(open, { dialect: tedious })`, with a creator that awaits the event "connect" of a connection. */
export const tedious: Dialect<TediousConnection> = {
  name: "tedious",

  /** While it connects, tedious refuses every request. */
  doCheck(connection) {
    expectDriver("tedious", connection, ["execSqlBatch", "close"]);
    const { state } = connection as Core;
    if (state !== undefined && state.name !== atRest)
      refuse("tedious", connection, "a Connection that is not connected", 'the creator must await its event "connect"');
  },

  doRollback: (connection) => end(connection as Core, "rollbackTransaction"),

  doCommit: (connection) => end(connection as Core, "commitTransaction"),

  /** Has the server reset the session, as sp_reset_connection does. tedious then sends its initial statements again. */
  async doResetSession(connection) {
    await end(connection as Core, "rollbackTransaction");
    await ask((callback) => connection.reset(callback));
  },

  /** Is over when its socket is destroyed: there is no goodbye. */
  doClose: close,

  doTerminate: close,

  async doPing(connection) {
    const core = connection as Core;
    if (core.closed) return false;
    try {
      await ask((callback) => connection.execSqlBatch(requestOf(core, "SELECT 1", callback)));
      return true;
    } catch (error) {
      if (core.closed) return false;
      throw error;
    }
  },

  /** A request that was cancelled, or whose time is over, leaves its connection in order. */
  isDisconnect(error, connection) {
    if (!(error instanceof Error) || !(connection as Core).closed) return false;
    return lostConnections.has(connection) ? true : "connection";
  },

  isTransient(error) {
    const { code, cause, isTransient: isSaid } = (error ?? {}) as { [member: string]: unknown };
    return isTransient(error) || isTransient(cause) || isSaid === true || code === "ETIMEOUT";
  },

  guarded: [
    "execSql",
    "execSqlBatch",
    "execBulkLoad",
    "callProcedure",
    "prepare",
    "unprepare",
    "execute",
    "beginTransaction",
    "commitTransaction",
    "rollbackTransaction",
    "saveTransaction",
    "transaction",
    "reset",
    "cancel",
    "close",
  ],

  /** A request, or a callback, gets the error, as from tedious. */
  doRefuse(error, given) {
    const [first] = given as [Callback | Request | undefined];
    const callback = typeof first === "function" ? first : first?.callback.bind(first);
    if (callback === undefined) throw error;
    queueMicrotask(() => callback(error));
    return undefined;
  },

  /** "stuck": its caller has ended it, or has paused the rows of its request. */
  isBusy(connection) {
    const { closed, state, request } = connection as Core;
    if (closed) return "stuck";
    if (state.name === atRest) return false;
    return request?.paused === true ? "stuck" : true;
  },

  /** Also true if that is not known. */
  inTransaction(connection) {
    const { inTransaction, closed, state, config } = connection as Core;
    const isOld = (config?.options?.tdsVersion ?? firstWithTransactions) < firstWithTransactions;
    return inTransaction || closed || state.name !== atRest || isOld;
  },

  /** Without a listener for its errors the first death would end the process. */
  onDisconnect(connection, died) {
    let failure: unknown;
    const onError = (error: unknown): void => {
      failure = error;
      if ((connection as Core).closed) lostConnections.add(connection);
    };
    // Its error comes right after the end.
    const onEnd = (): void => queueMicrotask(() => died(failure ?? new Error("the connection was closed")));
    connection.on("error", onError);
    connection.on("end", onEnd);
    return () => {
      connection.on("error", ignore);
      connection.removeListener("error", onError);
      connection.removeListener("end", onEnd);
    };
  },
};

function ask(send: (callback: Callback) => void): Promise<void> {
  return new Promise((resolve, reject) => send((error) => (error ? reject(error) : resolve())));
}

async function end(core: Core, call: "rollbackTransaction" | "commitTransaction"): Promise<void> {
  await rest(core);
  if (tedious.inTransaction?.(core) !== true) return;
  try {
    await ask((callback) => core[call](callback));
  } catch (error) {
    if (!withoutTransaction.has((error as { number?: unknown }).number)) throw error;
  }
}

/** Waits until no request runs. The callback of one may send another. */
async function rest(core: Core): Promise<void> {
  for (let request: Request | undefined; (request = core.request) !== undefined;) await answer(request);
}

function answer(request: Request): Promise<void> {
  return new Promise((resolve) => {
    const { callback } = request;
    request.callback = (...given) => {
      request.callback = callback;
      Reflect.apply(callback, request, given);
      resolve();
    };
  });
}

/** Makes a request without the class of tedious: the connection makes one for each transaction. */
function requestOf(core: Core, statement: string, callback: Callback): Request {
  let request: Request | undefined;
  core.makeRequest = (made) => void (request = made);
  try {
    core.rollbackTransaction(ignore);
  } finally {
    Reflect.deleteProperty(core, "makeRequest");
  }
  const { constructor } = Object.getPrototypeOf(request) as {
    constructor: new (statement: string, callback: Callback) => Request;
  };
  return new constructor(statement, callback);
}

function close(connection: TediousConnection): void | Promise<void> {
  connection.on("error", ignore);
  if ((connection as Core).closed) return undefined;
  return new Promise((resolve) => {
    connection.on("end", resolve);
    connection.close();
  });
}

export default tedious;
