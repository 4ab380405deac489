import pg from "pg";
import { DataSource, EntitySchema } from "typeorm";

const Item = new EntitySchema({ name: "item", columns: { name: { type: "text", primary: true } } });

export async function open(Pool, options) {
  const { user: username, ...extra } = options;
  const others = { username, extra, entities: [Item], logging: false };
  const dataSource = new DataSource({ type: "postgres", driver: { ...pg, Pool }, ...others });
  await dataSource.initialize();
  return {
    pool: dataSource.driver.master,
    makeTable: () => dataSource.synchronize(),
    insert: (names) => dataSource.getRepository(Item).insert(names.map((name) => ({ name }))),
    names: async () => (await dataSource.getRepository(Item).find()).map(({ name }) => name),
    async *stream() {
      const rows = await dataSource.createQueryBuilder().select("name").from("item", "item").stream();
      yield* rows;
    },
    transaction: (work) =>
      dataSource.transaction((manager) =>
        work({
          insert: (name) => manager.insert(Item, { name }),
          pid: async () => (await manager.query("SELECT pg_backend_pid() AS pid"))[0].pid,
        }),
      ),
    close: () => dataSource.destroy(),
  };
}
