import Knex from "knex";
import { Model } from "objection";
import { overKnex } from "./knex.mjs";

class Item extends Model {
  static tableName = "item";
  static idColumn = "name";
}

export function open(Pool, options) {
  const pool = new Pool(options);
  Model.knex(Knex({ client: "pg", connectionPool: pool }));
  const knex = Model.knex();
  return { pool, ...overKnex(knex, (trx) => Item.query(trx)), close: () => knex.destroy().then(() => pool.end()) };
}
