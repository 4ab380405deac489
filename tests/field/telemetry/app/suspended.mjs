// attachDatabasePool() in a function of Vercel: keeps the instance awake until the idle clients are closed.

import { attachDatabasePool } from "@vercel/functions";
import { Pool } from "edgepool/pg";

const waits = [];
globalThis[Symbol.for("@vercel/request-context")] = { get: () => ({ waitUntil: (wait) => void waits.push(wait) }) };

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 2, idleTimeoutMillis: 50 });
attachDatabasePool(pool);
await Promise.all([pool.query("SELECT 1"), pool.query("SELECT 2")]);
const before = pool.totalCount;
await Promise.all(waits);
console.log(JSON.stringify({ waits: waits.length, before, after: pool.totalCount }));
await pool.end();
