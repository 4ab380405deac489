/**
 * edgepool/mysql2: `createPool`, which takes the place of mysql2's.
 *
 * Import `createPool` from here instead of from mysql2, or from edgepool/mysql2/promise instead of from mysql2/promise:
 * the options, the members, the events and the connections are those of mysql2. Needs the package mysql2, which this
 * entry alone imports.
 *
 * @module
 */

import type { QueuePool, QueuePoolOptions } from "edgepool";
import mysql from "mysql2";
import type * as promises from "mysql2/promise";
import { poolClass, type Driver } from "./pool.js";

/** The options of mysql2's createPool(), and a few more. */
export interface PoolOptions extends mysql.PoolOptions {
  /** How long getConnection() may take, with the opening, in milliseconds. Default: no limit. */
  acquireTimeout?: number | undefined;
  /** How long end() waits for connections that are out, in milliseconds, before it ends them. Default 10,000. */
  endTimeout?: number | undefined;
  /** The class of the promises, for `edgepool/mysql2/promise`. */
  Promise?: PromiseConstructor | undefined;
  /** Options of {@link QueuePool}, such as `prePing` or `holdLimit`. They come before those of mysql2. */
  edgepool?: QueuePoolOptions<mysql.PoolConnection> | undefined;
}

/** What one call of getConnection() may ask for. */
export interface GetConnectionOptions {
  /** Its abort takes the caller out of the queue. */
  signal?: AbortSignal | undefined;
  /** Replaces the pool's `acquireTimeout`, in milliseconds. */
  acquireTimeout?: number | undefined;
}

/** Called with an error, or with null and the connection. */
export type GetConnectionCallback = (error: NodeJS.ErrnoException | null, connection: mysql.PoolConnection) => any;

/** The members of mysql2's Pool, and a few more. */
export interface Pool extends Omit<mysql.Pool, "getConnection" | "end" | "on" | "unprepare"> {
  getConnection(callback: GetConnectionCallback): void;
  getConnection(options: GetConnectionOptions, callback: GetConnectionCallback): void;
  /**
   * Refuses callers that wait, waits for the connections that are out, and closes all. After `endTimeout` (default
   * 10,000 ms) it ends those that are out.
   */
  end(callback?: (error: NodeJS.ErrnoException | null, ...given: any[]) => any): void;
  on(event: "connection" | "acquire" | "release", listener: (connection: mysql.PoolConnection) => any): this;
  on(event: "enqueue", listener: () => any): this;
  /** The pool behind this one, for `stats()`, `status()` and the events of edgepool. */
  readonly queuePool: QueuePool<mysql.PoolConnection>;
}

/** mysql2's promise pool over a {@link Pool}, which is its member `pool`. */
export interface PromisePool extends promises.Pool {
  pool: Pool & mysql.Pool;
}

const MysqlPool = poolClass(mysql as unknown as Driver);

/** Makes a pool from the options of mysql2 or from a connection string. Opens nothing. */
export function createPool(config: PoolOptions | string): Pool & mysql.Pool {
  return new MysqlPool(config as string) as unknown as Pool & mysql.Pool;
}

/** The same with promises, as mysql2 has it. */
export function createPoolPromise(config: PoolOptions | string): PromisePool {
  const { Promise: Own } = typeof config === "string" ? {} : config;
  return createPool(config).promise(Own) as unknown as PromisePool;
}
