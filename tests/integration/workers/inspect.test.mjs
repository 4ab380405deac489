// edgepool/inspect in real workerd: what a request sees of a pool at module scope, and of the pool of a Durable Object;
// that a stream ends with its client.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWorkerd } from "./workerd.mjs";

const token = "the token of the tests";
const headers = { authorization: `Bearer ${token}` };

const source = `
  import { DurableObject, env } from "cloudflare:workers";
  import { QueuePool } from "edgepool";
  import { PoolObject } from "edgepool/durable-object";
  import { inspect } from "edgepool/inspect";

  const dialect = { name: "test", doRollback() {}, doClose() {}, doTerminate() {} };
  const pool = new QueuePool(() => ({}), { dialect, loggingName: "of the isolate", poolSize: 2, trackLeaks: "stack" });
  let taken = 0;
  const inspector = inspect({
    pools: () => (taken++, pool),
    authorize: (request) => request.headers.get("authorization") === "Bearer " + env.INSPECT_TOKEN,
    interval: "50ms",
  });
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  /** Holds a lease until another request of the isolate lets go: no promise may cross requests. */
  let holds = 0;
  const hold = async () => {
    for (const mine = holds; mine === holds; ) await sleep(20);
  };

  export class Database extends PoolObject {
    #inspector;
    #pictures = 0;

    constructor(ctx, env) {
      super(ctx, env, () => ({}), { dialect, poolSize: 2, trackLeaks: "stack" });
      const pools = () => (this.#pictures++, this.pool);
      this.#inspector = inspect({ pools, token: env.INSPECT_TOKEN, interval: "50ms" });
    }

    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/object/pictures") return Response.json(this.#pictures);
      if (pathname === "/object/close") return Response.json((await this.pool.close(), true));
      if (pathname !== "/object/hold") return this.#inspector(request);
      await this.pool.use(hold);
      return Response.json(true);
    }
  }

  export default {
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname.startsWith("/object")) {
        const name = searchParams.get("name") ?? "one";
        return env.DATABASE.get(env.DATABASE.idFromName(name)).fetch(request);
      }
      if (pathname === "/pictures") return Response.json(taken);
      if (pathname === "/let-go") return Response.json(++holds);
      if (pathname !== "/hold") return inspector(request);
      await Promise.all(Array.from({ length: 3 }, () => pool.use(hold)));
      return Response.json(true);
    },
  };
`;

for (const compatibilityDate of ["2024-09-23", "2026-10-01"]) {
  let rig;
  let url;

  before(async () => {
    const main = {
      source,
      compatibilityDate,
      compatibilityFlags: ["nodejs_compat"],
      vars: { INSPECT_TOKEN: token },
      durableObjects: { DATABASE: "Database" },
    };
    rig = await startWorkerd({ workers: { main } });
    url = `http://127.0.0.1:${rig.port}`;
  });

  after(() => rig?.stop());

  const at = (name) => `${name} (date ${compatibilityDate})`;

  /** Reads messages until one is as wanted, and leaves. */
  async function until(path, isWanted) {
    const controller = new AbortController();
    const response = await fetch(`${url}${path}`, { headers, signal: controller.signal });
    assert.equal(response.status, 200);
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        const message = text.slice(0, end);
        const { pools } = JSON.parse(/^data: (.*)$/m.exec(message)[1]);
        if (!isWanted(pools[0], message)) continue;
        controller.abort();
        return pools[0];
      }
    }
    throw new Error(`the stream of ${path} has ended`);
  }

  const letGo = () => rig.ask("/let-go");

  /** Waits until a count stands still for half a second. */
  async function comesToRest(path) {
    for (let before = -1; ;) {
      const { body } = await rig.ask(path);
      if (body === before) return;
      before = body;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  test(at("a request without the right to see the pools is refused"), async () => {
    for (const [path, status] of [
      ["/", 403],
      ["/?events", 403],
      ["/object", 401],
      ["/object?events", 401],
    ]) {
      const { status: got, body } = await rig.ask(path);
      assert.deepEqual([got, body], [status, status === 401 ? "unauthorized\n" : "forbidden\n"], path);
    }
    const page = await fetch(`${url}/object`, { headers });
    assert.match(await page.text(), /<!doctype html>/);
  });

  test(at("a request sees the numbers of all requests of its isolate, and no slot of another one"), async () => {
    const work = rig.ask("/hold");
    const seen = await until("/?events", ({ stats }) => stats.used === 2 && stats.waiting === 1);
    assert.deepEqual([seen.name, seen.slots, seen.oldestLeaseMs], ["of the isolate", [], null]);
    assert.equal(seen.waiters[0][0], 1);
    // The third use begins when the others have ended, and is let go by itself.
    await letGo();
    await until("/?events", ({ stats }) => stats.used === 1);
    await letGo();
    assert.equal((await work).body, true);
    const idle = await until("/?events", ({ stats }) => stats.used === 0);
    assert.equal(idle.stats.checkouts % 3, 0);
  });

  test(at("a request to a Durable Object sees all of its pool: slots, leases, stacks and waiters"), async () => {
    const work = Promise.all([1, 2, 3].map(() => rig.ask("/object/hold")));
    const seen = await until(
      "/object?events",
      ({ stats, oldestLeaseMs }) => stats.waiting === 1 && oldestLeaseMs > 100,
    );
    assert.deepEqual(
      seen.slots.map(({ state }) => state),
      ["used", "used"],
    );
    assert.match(seen.slots[0].stack, /Database/);
    assert.ok(seen.longestWaitMs >= 0);
    await letGo();
    await until("/object?events", ({ stats }) => stats.used === 1);
    await letGo();
    await work;
    const { slots } = await until("/object?events", ({ stats }) => stats.used === 0);
    assert.deepEqual(
      slots.map(({ state }) => state),
      ["idle", "idle"],
    );
  });

  test(at("a stream ends with its client, in a request and in an object"), async () => {
    await until("/?events", () => true);
    await until("/object?events", () => true);
    await comesToRest("/pictures");
    await comesToRest("/object/pictures");
  });

  test(at("thirty viewers of one object see the same"), async () => {
    const work = rig.ask("/object/hold");
    const all = await Promise.all(
      Array.from({ length: 30 }, () => until("/object?events", ({ stats }) => stats.used === 1)),
    );
    assert.equal(new Set(all.map(({ id }) => id)).size, 1);
    await letGo();
    await work;
    await comesToRest("/object/pictures");
  });

  test(at("the last picture of a pool says that it is closed"), async () => {
    const closed = until("/object?events&name=two", (_, message) => message.startsWith("event: last"));
    await rig.ask("/object/close?name=two");
    const { isClosed, stats } = await closed;
    assert.deepEqual([isClosed, stats.total], [true, 0]);
    assert.ok(!rig.log.some((line) => /Uncaught|hung|different request/.test(line)), rig.log.join("\n"));
  });
}
