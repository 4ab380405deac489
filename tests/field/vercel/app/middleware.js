import { QueuePool } from "edgepool";

// The edge runtime has no sockets: a driver would speak HTTP here.
const connect = () => ({ query: async (text) => ({ rows: [{ text }] }), close() {} });
const pool = new QueuePool(connect, { poolSize: 1, maxOverflow: 0, resetOnReturn: "none" });

addEventListener("fetch", (event) => {
  const texts = ["SELECT 1", "SELECT 2"].map((text) => pool.use((connection) => connection.query(text)));
  event.respondWith(
    Promise.all(texts).then((results) =>
      Response.json({ rows: results.map(({ rows }) => rows[0].text), opened: pool.stats().opened }),
    ),
  );
});
