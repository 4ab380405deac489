/**
 * How the pool talks to one kind of driver connection: through a dialect where it has the member, else through what the
 * connection itself offers. Finds the call; decides nothing about when to make it. Used by connections.ts.
 */

/**
 * How the pool talks to one kind of driver connection. Every member is optional: what is missing is found on the
 * connection itself: `rollback`; `commit`; `close`, `end`, `quit`, `disconnect` or `destroy`; `terminate` or
 * `destroy`; `[Symbol.asyncDispose]` or `[Symbol.dispose]`. Each may be sync or async.
 */
export interface Dialect<C = any> {
  /** Shown in logs, for example `"pg"`. */
  readonly name?: string;
  /** Ends what is open, at each return with `resetOnReturn: "rollback"`. A failure costs the connection. */
  doRollback?(connection: C): unknown;
  /** The same with `resetOnReturn: "commit"`. */
  doCommit?(connection: C): unknown;
  /** Polite close: surplus, dispose, close of a detached connection. */
  doClose?(connection: C): unknown;
  /** Abrupt close: invalidation, a failed reset, replacement of a stale connection. Must not wait for the server. Defaults to doClose. */
  doTerminate?(connection: C): unknown;
  /** True when alive, false when dead. */
  doPing?(connection: C): boolean | PromiseLike<boolean>;
  /** Whether this error means that the connection is gone. */
  isDisconnect?(error: unknown, connection: C): boolean;
  /** Synchronous: false when no transaction is open, so that the reset's round trip can be skipped. */
  inTransaction?(connection: C): boolean;
  /** Subscribes to the driver's own word that this connection died; returns the unsubscribe. */
  onDisconnect?(connection: C, died: (error: unknown) => void): () => void;
}

/** What the pool calls on a connection. */
export type DriverCall = "rollback" | "commit" | "close" | "terminate";

/** What each call is named on a connection, in the order of trust. */
const memberNames: Record<DriverCall, readonly PropertyKey[]> = {
  rollback: ["rollback"],
  commit: ["commit"],
  close: ["close", "end", "quit", "disconnect", "destroy", Symbol.asyncDispose, Symbol.dispose],
  terminate: ["terminate", "destroy"],
};

/** Answered where neither dialect nor connection offers the call. */
export const nothingToCall: unique symbol = Symbol();

/** By name: a member looked up by a computed one costs a twentieth of a checkout and its return. */
function memberOf<C>(dialect: Dialect<C>, call: DriverCall): ((connection: C) => unknown) | undefined {
  switch (call) {
    case "rollback":
      return dialect.doRollback;
    case "commit":
      return dialect.doCommit;
    case "close":
      return dialect.doClose;
    default:
      return dialect.doTerminate;
  }
}

/** Rolls back, commits, closes or terminates, by what the dialect or else the connection offers. */
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
