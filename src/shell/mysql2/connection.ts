/**
 * mysql2's own pool connections as a {@link QueuePool} needs them: opened from the pool's options, and called through
 * the dialect of mysql2. A connection that no caller has borrowed refuses statements.
 */

import { InvalidRequestError, type Dialect, type OpeningContext, type PooledConnection } from "edgepool";
import { mysql2, type Mysql2Connection } from "../dialects/mysql2.js";

/** A connection of mysql2's pool, with what it has beyond its public types. */
export interface Connection extends Mysql2Connection {
  connect(callback: (error: unknown) => void): void;
  release(): void;
  stream: { destroy(): void; destroyed: boolean; once(event: string, listener: () => void): unknown };
  _released: boolean;
  _fatalError?: unknown;
  _protocolError?: unknown;
  _closing?: boolean;
}

/** What mysql2's connections ask of their pool. */
export interface Owner {
  /** A pool that has ended takes nothing back, so it never says so. */
  readonly _closed: false;
  /** The holder returns it. */
  releaseConnection(connection: Connection): void;
  /** The holder has destroyed it, or it has died. */
  _removeConnection(connection: Connection): void;
}

export type ConnectionClass = new (owner: Owner, options: { config: unknown }) => Connection;

/** What the pool knows of one connection. */
export class Loan {
  /** Whether a caller has the connection, or the pool works with it. */
  isOut = true;
  /** The lease of its holder. */
  lease: PooledConnection<Connection> | undefined = undefined;
}

const loans = new WeakMap<object, Loan>();

/** Returns undefined for what no pool of this module has opened. */
export function loanOf(connection: object): Loan | undefined {
  return loans.get(connection);
}

const ignore = (): void => {};

/** Makes a connection and waits for the server's welcome. Its socket is destroyed if the pool gives the opening up. */
export async function opened(
  Class: ConnectionClass,
  owner: Owner,
  config: unknown,
  { signal }: OpeningContext,
): Promise<Connection> {
  const connection = new Class(owner, { config });
  loans.set(connection, new Loan());
  // Without a listener an error of the connection ends the process.
  connection.on("error", ignore);
  const giveUp = (): void => connection.stream.destroy();
  signal.addEventListener("abort", giveUp);
  try {
    await new Promise<void>((resolve, reject) => {
      connection.connect((error) => (error ? reject(error) : resolve()));
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
  return connection;
}

/** What sends a statement, or changes the session. The others go through these. */
const guarded = ["query", "execute", "prepare", "changeUser", "ping", "reset"] as const;

/**
 * Lets these methods refuse while no caller has borrowed the connection: such a statement would run between two
 * holders. Looks the driver's own method up at each call, because tracers replace it.
 */
export function guard(connection: Connection, pool: string): void {
  const loan = loans.get(connection) as Loan;
  for (const name of guarded) {
    const value = (...given: unknown[]): unknown => {
      if (loan.isOut) return Object.getPrototypeOf(connection)[name].apply(connection, given);
      const error = new InvalidRequestError(
        `this connection was released to the pool ${pool}, and another caller may have it next: use it before ` +
          `release(), or call getConnection() again`,
        pool,
      );
      if (typeof given.at(-1) !== "function") throw error;
      return mysql2.doRefuse?.(error, given, connection, name);
    };
    Object.defineProperty(connection, name, { value, writable: true, configurable: true });
  }
}

/** Lets the pool itself call the driver: `call` sends what it sends before it returns. */
function unguarded<R>(connection: Connection, call: () => R): R {
  const loan = loans.get(connection) as Loan;
  const { isOut } = loan;
  loan.isOut = true;
  try {
    return call();
  } finally {
    loan.isOut = isOut;
  }
}

/** The dialect of mysql2 for guarded connections. */
export const dialect: Dialect<Connection> = {
  ...mysql2,
  doRollback: (connection) => unguarded(connection, () => mysql2.doRollback?.(connection)),
  doCommit: (connection) => unguarded(connection, () => mysql2.doCommit?.(connection)),
  /** Sends several statements, one after the other. */
  async doResetSession(connection) {
    const loan = loans.get(connection) as Loan;
    loan.isOut = true;
    try {
      await mysql2.doResetSession?.(connection);
    } finally {
      loan.isOut = loan.lease !== undefined;
    }
  },
  doPing: (connection) => unguarded(connection, async () => (await mysql2.doPing?.(connection)) ?? true),
};
