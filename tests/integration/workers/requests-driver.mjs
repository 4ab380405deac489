// The other side of requests-worker.mjs: clients of its requests, WebSockets and sessions over RPC, and what calls its
// functions back. /act?clients=5&count=10 does the act five times at once, in each ten calls one after another, and
// answers with the process ids that each client saw.

import { WorkerEntrypoint } from "cloudflare:workers";

const ask = async (env, path) => (await env.MAIN.fetch(`http://main${path}`)).json();

/** Another request that uses the pool. */
const other = (env) => ask(env, "/other");

const acts = {
  async request(env, _count, client, path) {
    return await ask(env, `${path}?id=${client}`);
  },

  async pull(env) {
    const text = await (await env.MAIN.fetch("http://main/pull")).text();
    return text.trim().split(" ").map(Number);
  },

  async sockets(env, count) {
    const { webSocket } = await env.MAIN.fetch("http://main/socket", { headers: { upgrade: "websocket" } });
    webSocket.accept();
    const pids = [];
    for (let message = 0; message < count; message++) {
      const answer = new Promise((resolve) => webSocket.addEventListener("message", resolve, { once: true }));
      webSocket.send("x");
      pids.push(Number((await answer).data));
      await other(env);
    }
    webSocket.close();
    return pids;
  },

  async sessions(env, count) {
    using session = await env.SERVICE.session();
    const pids = [];
    for (let call = 0; call < count; call++) {
      pids.push(await session.backend());
      await other(env);
    }
    return pids;
  },

  async entrypoints(env, count) {
    return await env.SERVICE.many(count);
  },

  async callbacks(env, count) {
    return await env.CALLING.run(count);
  },

  async scheduled(env, count, client) {
    const cron = `cron ${client}`;
    await env.MAIN.scheduled({ cron });
    return await ask(env, `/left?id=${encodeURIComponent(cron)}`);
  },

  async queue(env, count, client) {
    const body = `queue ${client}`;
    const messages = Array.from({ length: count }, (_, id) => ({
      id: String(id),
      timestamp: new Date(),
      attempts: 1,
      body,
    }));
    await env.MAIN.queue("queue", messages);
    return await ask(env, `/left?id=${encodeURIComponent(body)}`);
  },
};

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const [clients, count] = [Number(searchParams.get("clients")), Number(searchParams.get("count"))];
    const act = acts[pathname.slice(1)];
    return Response.json(
      await Promise.all(
        Array.from({ length: clients }, (_, client) => act(env, count, client, searchParams.get("path"))),
      ),
    );
  },
};

/** Calls a function back that belongs to another request, while others come and go. */
export class Caller extends WorkerEntrypoint {
  async call(fn, count) {
    const pids = [];
    for (let call = 0; call < count; call++) {
      pids.push(await fn());
      await other(this.env);
    }
    return pids;
  }
}
