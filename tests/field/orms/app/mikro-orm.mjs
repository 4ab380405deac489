import { createPostgreSqlTypeParsers, EntitySchema, MikroORM } from "@mikro-orm/postgresql";
import { PostgresDialect } from "kysely";
import pg from "pg";
import Cursor from "pg-cursor";

const Item = new EntitySchema({
  name: "item",
  properties: { name: { type: "text", primary: true }, age: { type: "interval", nullable: true } },
});

const parsers = createPostgreSqlTypeParsers(pg.types.getTypeParser(1009)); // text[]
const types = { getTypeParser: (oid, format) => parsers[oid] ?? pg.types.getTypeParser(oid, format) };

export async function open(Pool, options) {
  const pool = new Pool({ ...options, types });
  const others = { dbName: options.database, entities: [Item] };
  const orm = await MikroORM.init({ driverOptions: new PostgresDialect({ pool, cursor: Cursor }), ...others });
  return { pool, ...overMikroORM(orm) };
}

/** MikroORM on the pool that it makes itself. */
export async function openOwn({ database, user, password, host, port, ...more }) {
  const { promise, resolve: onPoolCreated } = Promise.withResolvers();
  const others = { dbName: database, user, password, host, port, entities: [Item], logger() {} };
  const orm = await MikroORM.init({ ...others, driverOptions: { ...more, onPoolCreated } });
  await orm.em.fork().execute("SELECT 1");
  return { pool: await promise, ...overMikroORM(orm) };
}

/** What MikroORM does in the tests. */
function overMikroORM(orm) {
  return {
    orm,
    makeTable: () => orm.schema.create(),
    insert: (names) =>
      orm.em.fork().insertMany(
        Item,
        names.map((name) => ({ name })),
      ),
    names: async () => (await orm.em.fork().findAll(Item)).map(({ name }) => name),
    stream: () => orm.em.fork().stream(Item, {}),
    transaction: (work) =>
      orm.em.fork().transactional((em) =>
        work({
          insert: (name) => em.insert(Item, { name }),
          pid: async () => (await em.execute("SELECT pg_backend_pid() AS pid"))[0].pid,
        }),
      ),
    close: () => orm.close(),
  };
}
