// The libraries that take a pg.Pool. Each has a module in the folder app, and a row in docs/orms.md.

/** @type {import("./promises.mjs").Consumer[]} */
export const consumers = [
  { name: "knex", title: "Knex", transacts: true },
  { name: "knex-tarn", npm: "knex", title: "Knex on edgepool/tarn", transacts: true, streams: true },
  { name: "objection", title: "Objection", transacts: true },
  { name: "kysely", title: "Kysely", transacts: true, streams: true },
  { name: "drizzle", npm: "drizzle-orm", title: "Drizzle", transacts: true },
  { name: "typeorm", title: "TypeORM", transacts: true, streams: true },
  { name: "sequelize", title: "Sequelize", transacts: true },
  { name: "mikro-orm", npm: "@mikro-orm/postgresql", title: "MikroORM", transacts: true, streams: true },
  { name: "prisma", npm: "@prisma/client", title: "Prisma", transacts: true },
  { name: "prisma-adapter", title: "Prisma's adapter", transacts: true },
  { name: "better-auth", title: "better-auth" },
  { name: "auth-js", npm: "@auth/pg-adapter", title: "Auth.js" },
];
