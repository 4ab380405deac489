import pg from "pg";
import { DataTypes, QueryTypes, Sequelize } from "sequelize";

export function open(Pool, options) {
  const { host, port, user: username, password, database } = options;
  const settings = { dialect: "postgres", dialectModule: pg, host, port, username, password, database, logging: false };
  const sequelize = new Sequelize(settings);
  const pool = new Pool({ ...options, types: sequelize.connectionManager, options: "-c TimeZone=UTC" });
  sequelize.connectionManager.pool = poolFor(pool);
  const Item = sequelize.define(
    "item",
    { name: { type: DataTypes.TEXT, primaryKey: true } },
    { timestamps: false, freezeTableName: true },
  );
  const select = { type: QueryTypes.SELECT };
  return {
    pool,
    makeTable: () => sequelize.sync(),
    insert: (names) => Item.bulkCreate(names.map((name) => ({ name }))),
    names: async () => (await Item.findAll()).map(({ name }) => name),
    transaction: (work) =>
      sequelize.transaction((transaction) =>
        work({
          insert: (name) => Item.create({ name }, { transaction }),
          pid: async () => (await sequelize.query("SELECT pg_backend_pid() AS pid", { ...select, transaction }))[0].pid,
        }),
      ),
    close: () => sequelize.close(),
  };
}

/** Sequelize has a pool of its own, and no option for another. */
function poolFor(pool) {
  return {
    acquire: () => pool.connect(),
    release: (client) => client.release(),
    destroy: (client) => client.release(true),
    drain: () => pool.end(),
    destroyAllNow: async () => {},
  };
}
