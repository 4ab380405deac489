// A Worker with one pool at module scope. Each request has at most two connections of its own. The pool opens them when
// the request needs them, and the runtime closes them with the request.

import { env } from "cloudflare:workers";
import { QueuePool } from "edgepool";
import { clients } from "edgepool/pg";

const pool = new QueuePool(clients({ connectionString: env.DATABASE_URL, connectionTimeoutMillis: 10_000 }), {
  poolSize: 2,
});

const rows = (text, values) => pool.use((client) => client.query(text, values)).then((result) => result.rows);

export default {
  async fetch(request) {
    const id = new URL(request.url).searchParams.get("customer");
    const [[customer], orders, [{ backend }]] = await Promise.all([
      rows("SELECT name FROM customers WHERE id = $1", [id]),
      rows("SELECT item FROM orders WHERE customer = $1 ORDER BY item", [id]),
      rows("SELECT pg_backend_pid() AS backend"),
    ]);
    return Response.json({ name: customer.name, orders: orders.map(({ item }) => item), backend });
  },
};
