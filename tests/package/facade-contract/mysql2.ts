// edgepool/mysql2 with the types of mysql2: what libraries declare that they take, and what programs write.

import { createPool, createPoolPromise, type Pool, type PoolOptions, type PromisePool } from "edgepool/mysql2";
import * as promised from "edgepool/mysql2/promise";
import type { QueuePool } from "edgepool";
import type mysql from "mysql2";
import type * as promises from "mysql2/promise";

export const pool = createPool({
  host: "127.0.0.1",
  connectionLimit: 5,
  acquireTimeout: 1_000,
  edgepool: { prePing: true },
});
export const others: Pool[] = [createPool("mysql://127.0.0.1"), createPool({})];
// Drizzle, TypeORM and Knex name mysql2's own types.
export const theirs: mysql.Pool = pool;
export const settings: PoolOptions = {} as mysql.PoolOptions;
export const withPromises: PromisePool = createPoolPromise({ Promise });
export const same: promised.Pool = promised.createPool("mysql://127.0.0.1");
export const theirPromises: promises.Pool = withPromises;

/** As Kysely states it: a shape. */
interface KyselyPool {
  getConnection(callback: (error: unknown, connection: { release(): void }) => void): void;
  end(callback: (error: unknown) => void): void;
}
export const shape: KyselyPool = pool;

export async function program(signal: AbortSignal): Promise<number> {
  pool.getConnection((error, connection) => (error ? error : connection.release()));
  pool.getConnection({ signal, acquireTimeout: 10 }, (_error, connection) => connection.destroy());
  pool.query("SELECT 1", (error, rows) => void [error, rows]);
  pool.on("acquire", (connection) => connection.threadId).on("enqueue", () => {});
  const connection = await withPromises.getConnection();
  const [rows] = await connection.query<mysql.RowDataPacket[]>("SELECT 1 AS n");
  connection.release();
  const behind: QueuePool<mysql.PoolConnection> = withPromises.pool.queuePool;
  await withPromises.end();
  pool.end(() => {});
  return rows.length + behind.stats().idle;
}

// @ts-expect-error: a word of no option
export const misspelt = createPool({ connectionsLimit: 1 });
// @ts-expect-error: no such option of edgepool
export const wrong = createPool({ edgepool: { poolsize: 1 } });
// @ts-expect-error: promises are for promise()
void pool.getConnection();
