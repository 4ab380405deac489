import { pg } from "edgepool/dialects/pg";
import { Pool } from "edgepool/tarn";
import Knex from "knex";
import { overKnex } from "./knex.mjs";

const quiet = { warn() {}, error() {} };

export function open(_Pool, { max, edgepool: others, more, ...connection }) {
  const settings = { min: 0, max };
  const knex = Knex({ client: "pg", connection, pool: settings, log: quiet, ...more });
  knex.client.pool = new Pool({ ...knex.client.getPoolSettings(settings), edgepool: { dialect: pg, ...others } });
  const { pool } = knex.client;
  const events = { acquire: "acquireSuccess" };
  const once = (event, listener) => {
    const called = (_id, client) => {
      pool.removeListener(events[event], called);
      listener(client);
    };
    pool.on(events[event], called);
  };
  return {
    knex,
    pool: { queuePool: pool.queuePool, once },
    ...overKnex(knex, (trx) => trx("item")),
    stream: () => knex("item").stream(),
    close: () => knex.destroy(),
  };
}
