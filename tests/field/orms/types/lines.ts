// The lines of docs/orms.md with the types of each library.

import PostgresAdapter from "@auth/pg-adapter";
import { createPostgreSqlTypeParsers, MikroORM, type Options } from "@mikro-orm/postgresql";
import { PrismaPg } from "@prisma/adapter-pg";
import { betterAuth, type BetterAuthOptions } from "better-auth";
import { drizzle } from "drizzle-orm/node-postgres";
import { Pool, type PoolConfig } from "edgepool/pg";
import Knex from "knex";
import { Kysely, PostgresDialect } from "kysely";
import { Model } from "objection";
import pg from "pg";
import Cursor from "pg-cursor";
import { Sequelize } from "sequelize";
import { DataSource } from "typeorm";
import { PrismaClient } from "./generated/client.ts";

interface Database {
  item: { name: string };
}

const options: PoolConfig = { connectionString: "postgres://", max: 5, edgepool: { prePing: true } };

export async function knex(pool: Pool): Promise<string[]> {
  const knex = Knex({ client: "pg", connectionPool: pool });
  return knex<{ name: string }>("item").pluck("name");
}

export function objection(pool: Pool): void {
  Model.knex(Knex({ client: "pg", connectionPool: pool }));
}

export async function kysely(pool: Pool): Promise<string[]> {
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool, cursor: Cursor }) });
  return (await db.selectFrom("item").select("name").execute()).map(({ name }) => name);
}

export async function drizzled(pool: Pool): Promise<number> {
  const db = drizzle({ client: pool });
  const own: Pool = db.$client;
  return db.transaction(async (tx) => (await tx.execute("SELECT 1")).rowCount ?? own.totalCount);
}

export function typeorm(others: { poolSize: number }): DataSource {
  return new DataSource({ type: "postgres", driver: { ...pg, Pool }, ...others });
}

export function sequelize(): Sequelize {
  const sequelize = new Sequelize({ dialect: "postgres", dialectModule: pg });
  // Its types declare the manager without a pool.
  const manager = sequelize.connectionManager as unknown as { pool: unknown } & NonNullable<PoolConfig["types"]>;
  const pool = new Pool({ ...options, types: manager, options: "-c TimeZone=UTC" });
  manager.pool = { acquire: () => pool.connect() };
  return sequelize;
}

export function mikroOrm(others: Options): Promise<MikroORM> {
  const parsers = createPostgreSqlTypeParsers(pg.types.getTypeParser(1009 as never));
  const types: PoolConfig["types"] = {
    getTypeParser: (oid: number, format?: any) => parsers[oid] ?? pg.types.getTypeParser(oid, format),
  };
  const pool = new Pool({ ...options, types });
  return MikroORM.init({ driverOptions: new PostgresDialect({ pool, cursor: Cursor }), ...others });
}

export async function prisma(pool: Pool): Promise<string[]> {
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: true }) });
  return (await prisma.item.findMany()).map(({ name }) => name);
}

export const auth = (pool: Pool, others: Omit<BetterAuthOptions, "database">) =>
  betterAuth({ database: pool, ...others }).api;

export const authJs = (pool: Pool) => PostgresAdapter(pool);
