import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { pgTable, text } from "drizzle-orm/pg-core";

const item = pgTable("item", { name: text() });

export function open(Pool, options) {
  const pool = new Pool(options);
  const db = drizzle({ client: pool });
  return {
    db,
    pool,
    makeTable: () => db.execute(sql`CREATE TABLE item (name text)`),
    insert: (names) => db.insert(item).values(names.map((name) => ({ name }))),
    names: async () => (await db.select().from(item)).map(({ name }) => name),
    transaction: (work) =>
      db.transaction((tx) =>
        work({
          insert: (name) => tx.insert(item).values({ name }),
          pid: async () => (await tx.execute(sql`SELECT pg_backend_pid() AS pid`)).rows[0].pid,
        }),
      ),
    close: () => pool.end(),
  };
}
