import { QueuePool } from "edgepool";

const pool = new QueuePool(() => ({ close() {} }), { resetOnReturn: "none" });
await pool.connect();
process.exit();
