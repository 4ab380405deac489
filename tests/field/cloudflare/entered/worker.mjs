// Requests that the runtime enters again and again: a WebSocket of Hono, and the steps of a Workflow.

import { env, tracing, WorkflowEntrypoint } from "cloudflare:workers";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { inspect } from "edgepool/inspect";
import { Hono } from "hono";
import { upgradeWebSocket } from "hono/cloudflare-workers";
import { Client } from "pg";

const pool = new QueuePool(
  async () => {
    const client = new Client({ connectionString: env.DATABASE_URL, connectionTimeoutMillis: 10_000 });
    client.on("error", () => {});
    await client.connect();
    return client;
  },
  { dialect: pg, poolSize: 2 },
);

async function backend() {
  const { rows } = await pool.use((client) => client.query("SELECT pg_backend_pid() AS pid"));
  return rows[0].pid;
}

export class Orders extends WorkflowEntrypoint {
  async run(_event, step) {
    const backends = [];
    for (let number = 0; number < 12; number++) backends.push(await step.do(`step ${number}`, backend));
    return backends;
  }
}

const app = new Hono();
const inspector = inspect({ pools: pool, token: "the token of the tests" });

app.get("/pools", (context) => inspector(context.req.raw));

app.get("/other", async (context) => context.json(await backend()));

app.get("/spans", async (context) => {
  const backends = [];
  for (let span = 0; span < 10; span++) backends.push(await tracing.enterSpan("query", backend));
  return context.json(backends);
});

app.get(
  "/socket",
  upgradeWebSocket(() => ({ onMessage: async (_event, socket) => socket.send(await backend()) })),
);

/** Opens sockets to this Worker, and sends each so many messages, in turn. Answers with the backends of each. */
app.get("/sockets", async (context) => {
  const { origin, searchParams } = new URL(context.req.url);
  const clients = await Promise.all(
    Array.from({ length: Number(searchParams.get("clients")) }, async () => {
      const { webSocket } = await fetch(`${origin}/socket`, { headers: { upgrade: "websocket" } });
      webSocket.accept();
      return { webSocket, backends: [] };
    }),
  );
  for (let message = 0; message < Number(searchParams.get("messages")); message++) {
    for (const { webSocket, backends } of clients) {
      const answer = new Promise((resolve) => webSocket.addEventListener("message", resolve, { once: true }));
      webSocket.send("x");
      backends.push(Number((await answer).data));
    }
  }
  for (const { webSocket } of clients) webSocket.close();
  return context.json(clients.map(({ backends }) => backends));
});

app.get("/order", async (context) => {
  const { id } = await context.env.ORDERS.create();
  return context.json(id);
});

app.get("/order/:id", async (context) => {
  const order = await context.env.ORDERS.get(context.req.param("id"));
  return context.json(await order.status());
});

export default app;
