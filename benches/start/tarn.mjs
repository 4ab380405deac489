import { Pool } from "tarn";

const pool = new Pool({ create: async () => ({}), destroy: () => {}, min: 0, max: 10 });
await pool.acquire().promise;
process.exit();
