// Query builders on pools of edgepool/mysql2.

import { drizzle } from "drizzle-orm/mysql2";
import { sql as drizzleSql } from "drizzle-orm";
import { createPool } from "edgepool/mysql2";
import { createPool as createPromisePool } from "edgepool/mysql2/promise";
import Knex from "knex";
import { Kysely, MysqlDialect, sql } from "kysely";
import mysql from "mysql2";

export { createPool, createPromisePool, mysql };

export const openKysely = (pool) => new Kysely({ dialect: new MysqlDialect({ pool }) });
export const kyselySql = sql;
export const openDrizzle = (pool) => drizzle({ client: pool });
export { drizzleSql };
export const openKnex = (connectionPool) => Knex({ client: "mysql2", connectionPool });
