/**
 * How the pool calls one kind of driver connection: through the dialect's member if it has one, else through a method
 * of the connection. Finds the call; decides nothing about when to make it.
 */

/**
 * How the pool calls one kind of driver connection. Every member is optional. For a missing member the pool calls the
 * connection's own method: `rollback`; `commit`; `close`, `end`, `quit`, `disconnect` or `destroy`; `terminate` or
 * `destroy`; `[Symbol.asyncDispose]` or `[Symbol.dispose]`. Each may be sync or async.
 */
export type Dialect<C = any> = { [Member in keyof DialectMembers<C>]: DialectMembers<C>[Member] | undefined };

/** The members of a {@link Dialect}. Each may be undefined, too: the pool then does as if it were missing. */
export interface DialectMembers<C = any> {
  /** Appears in logs, for example `"pg"`. */
  readonly name?: string;
  /**
   * Whether no other connection may be opened before this one has ended. A close that takes longer than `driverTimeout`
   * then keeps its slot until it ends. So does an opening that takes longer than `openTimeout`: its caller is refused,
   * and the connection serves the next one. Default false: the slot goes on without the connection.
   */
  readonly keepsSlotUntilClosed?: boolean;
  /**
   * Checks, synchronously, what the creator has returned, before the pool takes it. Throws if this dialect cannot use
   * it: the caller gets the error, and the pool does not close the connection. May return a warning, for example of an
   * old version. A pool logs each text once.
   */
  doCheck?(connection: C): string | void;
  /**
   * Ends an open transaction, at each return with `resetOnReturn: "rollback"`. If it fails, the connection is replaced.
   */
  doRollback?(connection: C): unknown;
  /** Commits, at each return with `resetOnReturn: "commit"`. If it fails, the connection is replaced. */
  doCommit?(connection: C): unknown;
  /**
   * Resets the whole session, at each return with `resetOnReturn: "session"`: ends an open transaction, and makes the
   * session as good as new. Keeps prepared statements, if the driver relies on them. If it fails, the connection is
   * replaced.
   */
  doResetSession?(connection: C): unknown;
  /** Closes politely: a surplus connection, one that is disposed of, or a detached one. */
  doClose?(connection: C): unknown;
  /**
   * Closes abruptly: an invalidated connection, one whose reset failed, or a stale one. Must not wait for the server.
   * Defaults to doClose.
   */
  doTerminate?(connection: C): unknown;
  /** Returns true if the connection is alive, false if it is dead. */
  doPing?(connection: C): boolean | PromiseLike<boolean>;
  /**
   * Returns whether this error means that the connection is lost. `"connection"`: it alone is replaced, for example
   * after a time-out of one statement. `true`: others of its age or older may be lost, too, for example after a restart
   * of the server. They are pinged at their next checkout, or replaced if the dialect has no doPing.
   */
  isDisconnect?(error: unknown, connection: C): boolean | "connection";
  /**
   * Returns, synchronously, what a connection that comes back is still doing: true if a statement is under way that may
   * end soon, `"stuck"` if something is open that does not end by itself (a cursor, a COPY, an iterator). A busy
   * connection has `returnTimeout` for its reset. A stuck one is terminated at once.
   */
  isBusy?(connection: C): boolean | "stuck";
  /**
   * Asks the server to stop the statement under way. Called if a busy connection comes back after an error that
   * concerns it alone; the connection is then reset, and kept. Returns false if it cannot. A promise must not settle
   * before the server has the request: a later one would stop the next statement.
   */
  doCancel?(connection: C): unknown;
  /**
   * Returns whether another attempt at an opening that failed with this error is worth while, with `openRetry`: the
   * server is away for a moment, or full. Without it, the codes of network errors and of such servers count.
   */
  isTransient?(error: unknown): boolean;
  /**
   * Returns, synchronously, whether a transaction is open. If it returns false, the pool skips the reset's round trip.
   */
  inTransaction?(connection: C): boolean;
  /**
   * The methods of the connection that a lease holder may not call once its lease has ended: those that send something
   * to the server. With the option `guard`. A function returns whether a method of this name is one, for a driver with
   * a method for each command.
   */
  readonly guarded?: readonly string[] | ((name: string) => boolean);
  /**
   * Refuses a guarded call of a lease that has ended, in the manner of the driver: returns or throws what the caller
   * gets. `given` are the arguments of the call, `name` is that of the method. Default: a promise that rejects.
   */
  doRefuse?(error: unknown, given: readonly unknown[], connection: C, name: string): unknown;
  /** Subscribes to the driver's own report that this connection died; returns the function that unsubscribes. */
  onDisconnect?(connection: C, died: (error: unknown) => void): () => void;
}

/**
 * Codes of openings that may succeed a moment later: errors of the network and of the resolver, a socket file that is
 * not there, PostgreSQL that shuts down, starts or is full, and mysql2 whose socket was closed.
 */
const transientCodes = new Set<unknown>([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "EAI_AGAIN",
  "57P01",
  "57P02",
  "57P03",
  "53300",
  "PROTOCOL_CONNECTION_LOST",
]);

/** MySQL that is full (1040), or full for this user (1203, 1226), or shuts down (1053). */
const transientNumbers = new Set<unknown>([1040, 1053, 1203, 1226]);

/** Returns whether an opening that failed with this error is worth another attempt, whatever the driver. */
export function isTransient(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { code, errno, syscall } = error as { code?: unknown; errno?: unknown; syscall?: unknown };
  return transientCodes.has(code) || transientNumbers.has(errno) || (code === "ENOENT" && syscall === "connect");
}

/** The calls that the pool makes on a connection. */
export type DriverCall = "rollback" | "commit" | "session reset" | "close" | "terminate";

/** The names of each call on a connection, in order of preference. */
const memberNames: Record<DriverCall, readonly PropertyKey[]> = {
  rollback: ["rollback"],
  commit: ["commit"],
  "session reset": [],
  close: ["close", "end", "quit", "disconnect", "destroy", Symbol.asyncDispose, Symbol.dispose],
  terminate: ["terminate", "destroy"],
};

/** Returned if neither the dialect nor the connection offers the call. */
export const nothingToCall: unique symbol = Symbol();

/** By name: a lookup by a computed name costs a twentieth of a checkout and its return. */
function memberOf<C>(dialect: Dialect<C>, call: DriverCall): ((connection: C) => unknown) | undefined {
  switch (call) {
    case "rollback":
      return dialect.doRollback;
    case "commit":
      return dialect.doCommit;
    case "session reset":
      return dialect.doResetSession;
    case "close":
      return dialect.doClose;
    default:
      return dialect.doTerminate;
  }
}

/** Rolls back, commits, resets, closes or terminates: with the dialect, or else with the connection's method. */
export function callDriver<C>(dialect: Dialect<C>, call: DriverCall, connection: C): unknown {
  const member = memberOf(dialect, call);
  if (member !== undefined) return Reflect.apply(member, dialect, [connection]);
  // A dialect's own polite close is closer to the driver than a duck-typed abrupt one.
  if (call === "terminate" && dialect.doClose !== undefined) return dialect.doClose(connection);
  for (const name of memberNames[call]) {
    const method = (connection as Record<PropertyKey, unknown>)[name];
    if (typeof method === "function") return Reflect.apply(method, connection, []);
  }
  return call === "terminate" ? callDriver(dialect, "close", connection) : nothingToCall;
}
