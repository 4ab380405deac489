// edgepool/pg with the types of pg: what libraries declare that they take, and what programs write.

import { clients, Pool, type AbortableQuery, type PoolClient, type PoolConfig } from "edgepool/pg";
import { QueuePool } from "edgepool";
import type pg from "pg";

export const pool = new Pool({ max: 10, connectionString: "postgres://", edgepool: { prePing: true } });
export const others = [new Pool(), new Pool("postgres://"), new Pool({}, class extends ({} as typeof pg.Client) {})];
export class Own extends Pool {}

// Drizzle, Prisma and Auth.js name pg's own class.
export const theirs: pg.Pool = pool;
export const settings: PoolConfig = {} as pg.PoolConfig;

/** As Kysely states it: a shape. */
interface KyselyPool {
  connect(): Promise<{
    query<R>(sql: string, parameters: ReadonlyArray<unknown>): Promise<{ rows: R[]; command: string }>;
    query<R>(cursor: { read(rows: number): Promise<R[]>; close(): Promise<void> }): typeof cursor;
    release(): void;
  }>;
  end(): Promise<void>;
  readonly options: object;
}
export const shape: Omit<KyselyPool, "connect"> & { connect(): Promise<{ release(): void }> } = pool;

export async function program(signal: AbortSignal): Promise<number | null> {
  using client: PoolClient = await pool.connect({ signal });
  await client.query("SELECT $1::int AS n", [1]);
  client.release(true);
  client.release(new Error());
  const { rows } = await pool.query<{ n: number }>("SELECT 1 AS n");
  const first: number = rows[0]?.n ?? 0;
  const query: AbortableQuery = { text: "SELECT 1", signal };
  const { rowCount } = await pool.query(query);
  const arrays = await pool.query<[number]>({ text: "SELECT 1", rowMode: "array" });
  const one: number | undefined = arrays.rows[0]?.[0];
  pool.query("SELECT 1", (error, result) => void [error, result.rows]);
  pool.connect((error, lent, release) => void (lent === undefined ? error : release()));
  pool.on("error", (error: Error, of) => void [error, of.release]).once("connect", () => {});
  const counts: number[] = [pool.totalCount, pool.idleCount, pool.waitingCount, pool.expiredCount];
  const states: boolean[] = [pool.ending, pool.ended];
  pool.options.max = 5;
  const behind: QueuePool<pg.PoolClient> = pool.queuePool;
  await pool.end({ timeoutMillis: 10 });
  pool.end(() => {});
  await pool.end();
  await using scoped = new Pool();
  return first + (one ?? 0) + counts.length + states.length + behind.stats().idle + scoped.totalCount + (rowCount ?? 0);
}

export const lean: QueuePool<pg.Client> = new QueuePool(clients("postgres://"), { poolSize: 1 });
export const row: Promise<{ n: number } | undefined> = new QueuePool(clients({ host: "db" })).use(
  async (client) => (await client.query<{ n: number }>("SELECT 1 AS n")).rows[0],
);

// @ts-expect-error: a word of no option
export const misspelt = new Pool({ maximum: 1 });
// @ts-expect-error: no such option of edgepool
export const wrong = new Pool({ edgepool: { poolsize: 1 } });
// @ts-expect-error: the limit has another name
void pool.end({ timeout: 1 });
