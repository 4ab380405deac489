import PgPool from "pg-pool";
import { FakeClient } from "../fake-client.mjs";

const pool = new PgPool({ Client: FakeClient });
await pool.connect();
process.exit();
