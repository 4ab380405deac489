// edgepool/tarn and edgepool/generic-pool: what programs write, and what Knex reads of a pool.

import { createPool, type Factory, type Options, Pool as GenericPool } from "edgepool/generic-pool";
import {
  Pool,
  TimeoutError,
  type Callback,
  type PendingAcquire,
  type PoolEvents,
  type PoolOptions,
} from "edgepool/tarn";
import type { QueuePool } from "edgepool";

interface Resource {
  id: number;
}

export const options: PoolOptions<Resource> = {
  create: async () => ({ id: 1 }),
  destroy: ({ id }) => id,
  min: 0,
  max: 1,
};
export const pool = new Pool({ ...options, validate: async ({ id }) => id > 0, edgepool: { loggingName: "own" } });
export const byCallback = new Pool({
  create: (done: Callback<Resource>) => void done(null, { id: 1 }),
  destroy() {},
  min: 0,
  max: 1,
});

/** As Knex reads it. */
interface KnexPool {
  acquire(): { promise: PromiseLike<unknown> };
  release(connection: unknown): boolean;
  destroy(): PromiseLike<unknown>;
  numFree(): number;
  numUsed(): number;
  numPendingAcquires(): number;
}
export const shape: KnexPool = new Pool<any>({ create: () => ({}), destroy() {}, min: 0, max: 1 });

export async function program(): Promise<number> {
  const pending: PendingAcquire<Resource> = pool.acquire();
  pending.abort();
  const resource = await pending.promise;
  pool.on("acquireSuccess", (id: number, lent: Resource) => void [id, lent.id]);
  const events: Array<keyof PoolEvents<Resource>> = ["poolDestroyRequest"];
  const wasUsed: boolean = pool.release(resource);
  const behind: QueuePool<Resource> = pool.queuePool;
  const late: Error = new TimeoutError("late");
  await pool.destroy({ timeoutMillis: 1 });
  return behind.stats().idle + events.length + Number(wasUsed) + late.message.length;
}

const factory: Factory<Resource> = { create: () => ({ id: 1 }), destroy: () => {} };
const settings: Options<Resource> = { max: 2, priorityRange: 2, edgepool: { holdLimit: "1m" } };

export async function generic(): Promise<number> {
  const workers: GenericPool<Resource> = createPool(factory, settings);
  const resource = await workers.acquire(1);
  await workers.release(resource);
  const id: number = await workers.use(({ id }) => id, 0);
  const named: string = await workers.use(async () => "text");
  workers.on("factoryCreateError", () => {});
  await workers.drain({ timeoutMillis: 1 });
  await workers.clear();
  return id + named.length + workers.size + workers.spareResourceCapacity;
}

// @ts-expect-error: max is missing
export const incomplete = new Pool({ create: () => ({}), destroy() {}, min: 0 });
// @ts-expect-error: no such event
pool.on("acquired", () => {});
// @ts-expect-error: a factory has two functions
createPool({ create: () => ({}) });
