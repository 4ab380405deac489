/**
 * edgepool/pg: `clients()`, for a {@link QueuePool} of pg's clients, and `Pool`, which takes the place of
 * node-postgres' `pg.Pool`.
 *
 * Import `Pool` from here instead of from pg: the options, the members, the events and the clients are those of pg.
 * Needs the package pg, which this entry alone imports.
 *
 * @module
 */

import type { Creator, OpeningContext } from "edgepool";
import pg from "pg";
import { pg as dialect } from "../dialects/pg.js";
import type { ClientClass } from "./client.js";
import { connected } from "./connecting.js";
import { Pool as PoolOfClass } from "./pg-pool.js";
import type { BasePool } from "./pool.js";
import type { Pool as PoolMembers, PoolClass } from "./types.js";

export type { AbortableQuery, PoolClass, PoolClient, PoolConfig } from "./types.js";

/** In a function, so that a bundle of `clients` alone has no pool of this kind. */
function poolOfPg(): PoolClass {
  class PgPool extends (PoolOfClass as unknown as typeof BasePool) {
    constructor(config?: unknown, Client?: ClientClass) {
      super(config, Client ?? (pg.Client as unknown as ClientClass));
    }
  }
  Object.defineProperty(PgPool, "name", { value: "Pool" });
  // Libraries ask for `instanceof pg.Pool`, and pg's own pool may be this one.
  const { prototype } = pg.Pool;
  const isOfPg = prototype instanceof PoolOfClass;
  Object.setPrototypeOf(isOfPg ? PgPool.prototype : PoolOfClass.prototype, prototype);
  return PgPool as unknown as PoolClass;
}

export const Pool: PoolClass = /* @__PURE__ */ poolOfPg();
export type Pool = PoolMembers;

/**
 * Returns a creator of pg's clients, for a {@link QueuePool} or another pool. It connects a client with these options
 * or this connection string, listens to its errors, and brings the dialect of pg along.
 */
export function clients(config?: string | pg.ClientConfig): Creator<pg.Client> {
  const options = typeof config === "string" ? { connectionString: config } : { ...config };
  const create = async (_record: unknown, opening: OpeningContext): Promise<pg.Client> =>
    (await connected(pg.Client as unknown as ClientClass, options, opening)) as unknown as pg.Client;
  return Object.assign(create, { dialect });
}
