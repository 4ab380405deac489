import module from "edgepool/edgepool.wasm?module";
import { initialize, QueuePool } from "edgepool/slim";

initialize(module);
const connect = () => ({ query: async (text) => ({ rows: [{ text }] }), close() {} });
const pool = new QueuePool(connect, { resetOnReturn: "none" });

export const rows = (text) => pool.use((connection) => connection.query(text)).then((result) => result.rows);
