import { createPool } from "generic-pool";

const pool = createPool({ create: async () => ({}), destroy: async () => {} });
await pool.acquire();
process.exit();
