/**
 * edgepool/pg-pool: `Pool` in place of the package pg-pool, on which pg's own pool is built. It imports no driver: its
 * maker gives the class of the clients. The package edgepool-pg-pool stands in for pg-pool with it.
 *
 * @module
 */

import { BasePool } from "./pool.js";
import type { Pool as PoolMembers, PoolClass } from "./types.js";

export const Pool: PoolClass = BasePool as unknown as PoolClass;
export type Pool = PoolMembers;
export type { PoolClass, PoolClient, PoolConfig } from "./types.js";

export default Pool;
