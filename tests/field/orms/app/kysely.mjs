import { Kysely, PostgresDialect, sql } from "kysely";
import Cursor from "pg-cursor";

export function open(Pool, options) {
  const pool = new Pool(options);
  const db = new Kysely({ dialect: new PostgresDialect({ pool, cursor: Cursor }) });
  const items = db.selectFrom("item").select("name");
  return {
    pool,
    makeTable: () => db.schema.createTable("item").addColumn("name", "text").execute(),
    insert: (names) =>
      db
        .insertInto("item")
        .values(names.map((name) => ({ name })))
        .execute(),
    names: async () => (await items.execute()).map(({ name }) => name),
    stream: () => items.stream(10),
    transaction: (work) =>
      db.transaction().execute((trx) =>
        work({
          insert: (name) => trx.insertInto("item").values({ name }).execute(),
          pid: async () => (await sql`SELECT pg_backend_pid() AS pid`.execute(trx)).rows[0].pid,
        }),
      ),
    close: () => db.destroy(),
  };
}
