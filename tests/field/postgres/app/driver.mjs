// One version of pg, and the pool beside it. The name of the driver is "pg" for each version.

import pg from "pg";

export { QueuePool } from "edgepool";
export { pg as dialect } from "edgepool/dialects/pg";
export { Pool } from "edgepool/pg";
export const { Client } = pg;

/** Returns the class of libpq's clients. */
export const nativeClient = () => pg.native.Client;
