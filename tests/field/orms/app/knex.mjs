import Knex from "knex";

export function open(Pool, options) {
  const pool = new Pool(options);
  const knex = Knex({ client: "pg", connectionPool: pool });
  return { pool, ...overKnex(knex, (trx) => trx("item")), close: () => knex.destroy().then(() => pool.end()) };
}

/** What Knex does in the tests. `items` begins a query, on the connection of a transaction. */
export function overKnex(knex, items) {
  return {
    makeTable: () => knex.schema.createTable("item", (table) => void table.text("name")),
    insert: (names) => items(knex).insert(names.map((name) => ({ name }))),
    names: async () => (await items(knex).select("name")).map(({ name }) => name),
    transaction: (work) =>
      knex.transaction((trx) =>
        work({
          insert: (name) => items(trx).insert({ name }),
          pid: async () => (await trx.raw("SELECT pg_backend_pid() AS pid")).rows[0].pid,
        }),
      ),
  };
}
