/**
 * edgepool/pg: `Pool`, which takes the place of node-postgres' `pg.Pool`.
 *
 * Import `Pool` from here instead of from pg: the options, the members, the events and the clients are those of pg.
 * Needs the package pg, which this entry alone imports.
 *
 * @module
 */

import pg from "pg";
import type { ClientClass } from "./client.js";
import { Pool as PoolOfClass } from "./pg-pool.js";
import type { BasePool } from "./pool.js";
import type { Pool as PoolMembers, PoolClass } from "./types.js";

export type { AbortableQuery, PoolClass, PoolClient, PoolConfig } from "./types.js";

const Base = PoolOfClass as unknown as typeof BasePool;

class PgPool extends Base {
  constructor(config?: unknown, Client?: ClientClass) {
    super(config, Client ?? (pg.Client as unknown as ClientClass));
  }

  static {
    Object.defineProperty(this, "name", { value: "Pool" });
    // Libraries ask for `instanceof pg.Pool`, and pg's own pool may be this one.
    const { prototype } = pg.Pool;
    Object.setPrototypeOf(prototype instanceof Base ? this.prototype : Base.prototype, prototype);
  }
}

export const Pool: PoolClass = PgPool as unknown as PoolClass;
export type Pool = PoolMembers;
