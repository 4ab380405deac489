import { QueuePool } from "edgepool";

// The edge runtime has no sockets: a driver would speak HTTP here.
const connect = () => ({ query: async (text) => ({ rows: [{ text }] }), close() {} });
const pool = new QueuePool(connect, { resetOnReturn: "none" });

export const rows = (text) => pool.use((connection) => connection.query(text)).then((result) => result.rows);
