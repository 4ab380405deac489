// Drizzle, Kysely and Prisma's adapter on the pool of a Durable Object, in real workerd, on a real PostgreSQL.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWorkerdOnPostgres } from "../../integration/workers/workerd.mjs";
import { layApp } from "./app.mjs";

const source = `
  import { PoolObject, poolOf } from "edgepool/durable-object";
  import { Pool } from "edgepool/durable-object/pg";
  import { clients } from "edgepool/pg";
  import { PrismaPg } from "@prisma/adapter-pg";
  import { sql } from "drizzle-orm";
  import { drizzle } from "drizzle-orm/node-postgres";
  import { integer, pgTable, text } from "drizzle-orm/pg-core";
  import { Kysely, PostgresDialect } from "kysely";
  import pg from "pg";

  export class Database extends PoolObject {
    constructor(ctx, env) {
      super(ctx, env, clients(env.DATABASE_URL), { poolSize: 2 });
    }
  }

  const people = pgTable("people", { id: integer("id").primaryKey(), name: text("name") });
  const noted = async (work) => work.then(() => "no error", (error) => error.cause?.message ?? error.message);

  const libraries = {
    async drizzle(pool) {
      const database = drizzle({ client: pool });
      await database.execute(sql\`CREATE TABLE people (id int PRIMARY KEY, name text)\`);
      await database.insert(people).values([{ id: 1, name: "Ada" }, { id: 2, name: "Grace" }]);
      await database.transaction((inside) => inside.update(people).set({ name: "Lovelace" }).where(sql\`id = 1\`));
      const failed = await noted(
        database.transaction(async (inside) => {
          await inside.insert(people).values({ id: 3, name: "nobody" });
          throw new Error("on purpose");
        }),
      );
      return { failed, rows: await database.select().from(people).orderBy(people.id) };
    },
    async kysely(pool) {
      const database = new Kysely({ dialect: new PostgresDialect({ pool }) });
      await database.schema.createTable("pets").addColumn("id", "integer").addColumn("name", "text").execute();
      await database.insertInto("pets").values({ id: 1, name: "Mia" }).execute();
      const rex = { id: 2, name: "Rex" };
      await database.transaction().execute((inside) => inside.insertInto("pets").values(rex).execute());
      const failed = await noted(
        database.transaction().execute(async (inside) => {
          await inside.insertInto("pets").values({ id: 3, name: "none" }).execute();
          throw new Error("on purpose");
        }),
      );
      return { failed, rows: await database.selectFrom("pets").selectAll().orderBy("id").execute() };
    },
    async prisma(pool) {
      const adapter = await new PrismaPg(pool).connect();
      const query = (sql, args = [], by = adapter) => by.queryRaw({ sql, args, argTypes: args.map(() => ({})) });
      await adapter.executeScript("CREATE TABLE cars (id int, name text)");
      const first = await adapter.startTransaction();
      await query("INSERT INTO cars VALUES (1, 'Beetle')", [], first);
      await query("COMMIT", [], first);
      await first.commit();
      const second = await adapter.startTransaction();
      await query("INSERT INTO cars VALUES (2, 'none')", [], second);
      await query("ROLLBACK", [], second);
      await second.rollback();
      const { columnNames, rows } = await query("SELECT * FROM cars ORDER BY id");
      const failed = await noted(query("SELECT 1 / 0"));
      return { failed: failed.includes("zero") || failed, columnNames, rows };
    },
  };

  export default {
    async fetch(request, env) {
      const pool = new Pool(poolOf(env.DATABASE));
      try {
        const name = new URL(request.url).pathname.slice(1);
        if (name === "kind") return Response.json([pool instanceof pg.Pool, pool.constructor.name]);
        const answer = await libraries[name](pool);
        return Response.json({ ...answer, out: pool.totalCount });
      } catch (error) {
        return Response.json({ error: String(error.stack), cause: String(error.cause) }, { status: 500 });
      }
    },
  };
`;

let rig;

before(async () => {
  const { project } = layApp();
  const main = {
    source,
    resolveDir: project.folder,
    compatibilityFlags: ["nodejs_compat"],
    durableObjects: { DATABASE: "Database" },
    more: { minify: true },
  };
  rig = await startWorkerdOnPostgres({ workers: { main }, maxConnections: 50 });
});

after(() => rig?.stop());

test("the pool is a pg.Pool, and its class keeps its name in a minified bundle", async () => {
  assert.deepEqual((await rig.workerd.ask("/kind")).body, [true, "Pool"]);
});

test("Drizzle writes, reads, commits and rolls back", async () => {
  const { body } = await rig.workerd.ask("/drizzle");
  const rows = [
    { id: 1, name: "Lovelace" },
    { id: 2, name: "Grace" },
  ];
  assert.deepEqual(body, { failed: "on purpose", rows, out: 0 });
});

test("Kysely writes, reads, commits and rolls back", async () => {
  const { body } = await rig.workerd.ask("/kysely");
  const rows = [
    { id: 1, name: "Mia" },
    { id: 2, name: "Rex" },
  ];
  assert.deepEqual(body, { failed: "on purpose", rows, out: 0 });
});

test("Prisma's adapter writes, reads, commits and rolls back", async () => {
  const { body } = await rig.workerd.ask("/prisma");
  assert.deepEqual(body, { failed: true, columnNames: ["id", "name"], rows: [[1, "Beetle"]], out: 0 });
});
