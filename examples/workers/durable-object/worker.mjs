// A Worker whose isolates share five connections to PostgreSQL. A Durable Object holds the connections.

import { PoolObject, poolOf } from "edgepool/durable-object";
import { clients } from "edgepool/pg";

export class Database extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, clients({ connectionString: env.DATABASE_URL, connectionTimeoutMillis: 10_000 }), { poolSize: 5 });
  }
}

export default {
  async fetch(request, env) {
    const [, action, from, to, amount] = new URL(request.url).pathname.split("/");
    const database = poolOf(env.DATABASE);

    if (action === "transfer") {
      const pay = { text: "UPDATE accounts SET balance = balance - $2 WHERE id = $1", values: [from, amount] };
      const earn = { text: "UPDATE accounts SET balance = balance + $2 WHERE id = $1", values: [to, amount] };
      try {
        // Both or neither, in one round trip. The lower account comes first, so that two transfers never deadlock.
        await database.batch(Number(from) < Number(to) ? [pay, earn] : [earn, pay]);
        return new Response("done");
      } catch (error) {
        if (error.constraint === "accounts_balance_check") return new Response("not enough money", { status: 409 });
        throw error;
      }
    }
    const { rows } = await database.query("SELECT id, balance FROM accounts ORDER BY id");
    return Response.json(rows);
  },
};
