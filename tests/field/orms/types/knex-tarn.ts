// Knex on edgepool/tarn with the types of Knex.

import { pg } from "edgepool/dialects/pg";
import { Pool, type PoolOptions } from "edgepool/tarn";
import Knex from "knex";

export function knexOnTarn(settings: { min: number; max: number }, others: PoolOptions<any>["edgepool"]): Knex.Knex {
  const knex = Knex({ client: "pg", pool: settings });
  knex.client.pool = new Pool({ ...knex.client.getPoolSettings(settings), edgepool: { dialect: pg, ...others } });
  return knex;
}
