/** Reads the options of mysql2's pool, and names them as {@link QueuePool} does. */

import type { QueuePoolOptions } from "edgepool";
import type { Connection } from "./connection.js";

/** What a user gives: the options of mysql2, and a few of the pool's. */
export interface Given extends Record<string, unknown> {
  uri?: unknown;
  maxIdle?: unknown;
  idleTimeout?: unknown;
  acquireTimeout?: unknown;
  endTimeout?: unknown;
  edgepool?: QueuePoolOptions<Connection>;
}

/** mysql2's PoolConfig. */
export interface Config {
  connectionConfig: object;
  waitForConnections: boolean;
  connectionLimit: number;
  maxIdle: number;
  idleTimeout: number;
  queueLimit: number;
  resetOnRelease: boolean;
}

/** Returns the options of the pool. It opens nothing by itself and tries no opening again: mysql2 does neither. */
export function queueOptions(
  config: Config,
  given: Given,
  hasMaxIdle: boolean,
  acquireMillis: number | undefined,
): QueuePoolOptions<Connection> {
  const { connectionLimit, queueLimit, waitForConnections, resetOnRelease } = config;
  const isUnlimited = connectionLimit === 0;
  const maxIdle = isUnlimited && !hasMaxIdle ? 0 : config.maxIdle;
  // No idle connection at all: one that is returned stays for no time.
  const keepsNone = hasMaxIdle && maxIdle === 0;
  const kept = keepsNone ? 1 : isUnlimited ? maxIdle : Math.min(maxIdle, connectionLimit);
  const evicts =
    keepsNone || given.idleTimeout !== undefined || (hasMaxIdle && (isUnlimited || maxIdle < connectionLimit));
  return {
    poolSize: kept,
    maxOverflow: isUnlimited ? -1 : connectionLimit - kept,
    maxWaiters: queueLimit || Infinity,
    timeout: waitForConnections ? null : 0,
    deadline: acquireMillis === undefined ? null : `${acquireMillis}ms`,
    openRetry: false,
    useLifo: true,
    idleTimeout: evicts ? `${keepsNone ? 1 : config.idleTimeout}ms` : null,
    resetOnReturn: resetOnRelease ? "session" : "rollback",
    // The driver's own connection is lent, and it is the same object each time.
    guard: false,
    // The connection keeps its lease, so no lease is collected.
    trackLeaks: false,
  };
}
