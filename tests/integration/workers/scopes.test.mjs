// One pool at module scope, in real workerd, on a real PostgreSQL over TCP: each request and each Durable Object has
// connections of its own, whatever the others do and however they end. The same at each compatibility date at which
// something of workerd changed that pools feel. What requests may do stands in scopes-worker.mjs.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Client } from "pg";
import { startPostgres } from "../../../scripts/postgres.mjs";
import { until } from "../watched-postgres.mjs";
import { startWorkerd } from "./workerd.mjs";

const nodejs = ["nodejs_compat"];
const dates = [
  // The first at which pg runs. A promise settled by another request never continues; no FinalizationRegistry.
  { compatibilityDate: "2024-09-23", compatibilityFlags: nodejs, requests: 5000 },
  // Such a promise continues in the request that waits.
  { compatibilityDate: "2024-10-14", compatibilityFlags: nodejs, requests: 500 },
  // FinalizationRegistry, and WebAssembly compiled at startup.
  { compatibilityDate: "2025-06-30", compatibilityFlags: nodejs, requests: 500 },
  // nodejs_compat by itself, with its timers that are objects.
  { compatibilityDate: "2026-10-01", compatibilityFlags: [], requests: 5000 },
];

let postgres;
let admin;

before(async () => {
  postgres = await startPostgres({ maxConnections: 400 });
  admin = new Client(postgres.options);
  await admin.connect();
});

after(async () => {
  await admin?.end();
  await postgres?.stop();
});

async function backends(name) {
  const { rows } = await admin.query("SELECT pid FROM pg_stat_activity WHERE application_name = $1", [name]);
  return rows.map(({ pid }) => pid);
}

/** The server ends backends in its own time. */
const untilBackends = (name, count) =>
  until(async () => (await backends(name)).length === count, `${count} backends of ${name}`);

for (const { compatibilityDate, compatibilityFlags, requests } of dates) {
  describe(`at the compatibility date ${compatibilityDate}`, () => {
    let workerd;

    before(async () => {
      const { host, port, user, password, database } = postgres.options;
      const main = {
        entry: join(import.meta.dirname, "scopes-worker.mjs"),
        compatibilityDate,
        compatibilityFlags,
        vars: { DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}` },
        services: { SELF: "main" },
        durableObjects: { HOLDER: "Holder" },
      };
      workerd = await startWorkerd({ workers: { main } });
    });

    after(() => workerd?.stop());

    const path = (route, parameters = {}) => `/${route}?${new URLSearchParams(parameters)}`;

    /** What a request answers; it must. */
    async function ask(route, parameters) {
      const { status, body } = await workerd.ask(path(route, parameters));
      assert.equal(status, 200, `${path(route, parameters)}: ${JSON.stringify(body)}`);
      return body;
    }

    const untilHeld = (as, count = 1) =>
      until(async () => (await ask("held", { as })).count === count, `${count} held as ${as}`);

    test("a request opens one connection and uses it again; the next request opens its own", async () => {
      await ask("tally");
      const first = await ask("use", { pool: "shared", uses: 3 });
      const second = await ask("use", { pool: "shared", uses: 3 });
      assert.equal(new Set(first.pids).size, 1);
      assert.equal(new Set(second.pids).size, 1);
      assert.notEqual(first.pids[0], second.pids[0]);
      assert.deepEqual((await ask("tally")).opened, { [first.owner]: 1, [second.owner]: 1 });
      await untilBackends("shared", 0);
    });

    test("a request that is still running keeps its connection while another uses the pool", async () => {
      const running = ask("hold", { pool: "beside", as: "beside" });
      await untilHeld("beside");
      const other = await ask("use", { pool: "beside", uses: 2 });
      await ask("release", { as: "beside" });
      const { pids } = await running;
      assert.equal(new Set(pids).size, 1);
      assert.ok(!pids.includes(other.pids[0]));
      await untilBackends("beside", 0);
    });

    test("a request that never answers harms neither those beside it nor those after it", async () => {
      const running = ask("hold", { pool: "hung", as: "beside hung" });
      await untilHeld("beside hung");
      const gone = new AbortController();
      const hung = workerd.ask(path("hang", { pool: "hung", as: "hung" }), { signal: gone.signal });
      await untilHeld("hung");
      const after = await Promise.all(Array.from({ length: 20 }, () => ask("use", { pool: "hung", uses: 2 })));
      assert.equal(new Set(after.flatMap(({ pids }) => pids)).size, 20);
      await ask("release", { as: "beside hung" });
      assert.equal(new Set((await running).pids).size, 1);
      gone.abort();
      await assert.rejects(hung, { name: "AbortError" });
      await ask("use", { pool: "hung", uses: 2 });
    });

    test("a request whose client disconnects with the lease out takes its backend along", async () => {
      for (const as of ["killed 1", "killed 2", "killed 3"]) {
        await ask("kill", { as, path: path("hang", { pool: "killed", as }) });
        const { pids } = await ask("use", { pool: "killed", uses: 2 });
        assert.equal(new Set(pids).size, 1);
      }
      await untilBackends("killed", 0);
    });

    test("a request that is shot as hung with the lease out harms no other request", async () => {
      const { status } = await workerd.ask(path("hangIdle", { pool: "scripted", as: "shot" }));
      assert.equal(status, 500);
      assert.match(workerd.log.at(-1), /had hung/);
      const { second, owner } = await ask("waitInVain", { pool: "scripted" });
      assert.equal(second.code, "ERR_POOL_TIMEOUT");
      assert.match(owner, /^request/);
    });

    test("a request that throws with the lease out in a transaction takes its backend along", async () => {
      const { status } = await workerd.ask(path("throw", { pool: "thrown", as: "thrown" }));
      assert.equal(status, 500);
      await ask("use", { pool: "thrown", uses: 2 });
      await untilBackends("thrown", 0);
    });

    test("a request that answers and never returns its lease takes its backend along", async () => {
      const left = await ask("leave", { pool: "left", as: "left" });
      const next = await ask("use", { pool: "left", uses: 2 });
      assert.notEqual(left.pids[0], next.pids[0]);
      await untilBackends("left", 0);
    });

    /** Our own error, and at once: a driver that is used from elsewhere would hang. */
    function assertRefused({ code, name, ours, ms }, what) {
      assert.deepEqual(
        { what, code, name, ours },
        { what, code: "ERR_POOL_INVALID_REQUEST", name: "InvalidRequestError", ours: true },
      );
      assert.ok(ms < 1000, `${what} took ${ms} ms`);
    }

    test("a lease of another request is refused at once, with what to do, and its owner goes on", async () => {
      const owner = ask("hold", { pool: "borrowed", as: "borrowed" });
      await untilHeld("borrowed");
      const use = await ask("borrow", { as: "borrowed" });
      const rest = await ask("meddle", { as: "borrowed" });
      await ask("release", { as: "borrowed" });
      assert.equal(new Set((await owner).pids).size, 1);
      assertRefused(use, "connection");
      assert.match(use.message, /request/i);
      assert.match(use.message, /connect\(\)|use\(\)/);
      for (const what of ["close", "invalidate", "detach"]) assertRefused(rest[what], what);
    });

    test("a lease of a request that has ended is refused, too", async () => {
      await ask("leave", { pool: "borrowed", as: "ended" });
      await untilBackends("borrowed", 0);
      assertRefused(await ask("borrow", { as: "ended" }), "connection");
    });

    test("a lease of a Durable Object serves all its requests and is refused to any other", async () => {
      const owner = ask("object/owner/hold", { pool: "borrowed", as: "object's" });
      await untilHeld("object's");
      const [request, other, own] = [
        await ask("borrow", { as: "object's" }),
        await ask("object/other/borrow", { as: "object's" }),
        await ask("object/owner/borrow", { as: "object's" }),
      ];
      await ask("release", { as: "object's" });
      assert.equal(new Set((await owner).pids).size, 1);
      assertRefused(request, "connection, to a request");
      assertRefused(other, "connection, to another object");
      assert.equal(own.value, "object");
    });

    test("connect({ scope: ctx }) finds the connections of its request", async () => {
      await ask("tally");
      const { owner, pids } = await ask("explicit", { pool: "explicit", uses: 3 });
      assert.equal(new Set(pids).size, 1);
      const object = await ask("object/explicit/explicit", { pool: "explicit", uses: 3 });
      assert.equal(new Set(object.pids).size, 1);
      assert.deepEqual((await ask("tally")).opened, { [owner]: 1, [object.owner]: 1 });
    });

    test("the key of another request finds nothing of that request's", async () => {
      await ask("tally");
      const owner = ask("lendKey", { pool: "wrongKey", as: "lent" });
      await untilHeld("lent");
      const other = await ask("wrongKey", { pool: "wrongKey", as: "lent" });
      await ask("release", { as: "lent" });
      assert.ok(!other.pids.includes((await owner).pids[0]));
      const { opened, foreign } = await ask("tally");
      assert.equal(foreign, 0);
      assert.deepEqual(opened, { [(await owner).owner]: 1, [other.owner]: 1 });
    });

    test("two Durable Objects and a Worker in one isolate share the pool and no connection", async () => {
      await ask("tally");
      const seen = { one: new Set(), two: new Set(), worker: new Set() };
      for (let round = 0; round < 5; round++) {
        const [one, two, worker] = await Promise.all([
          ask("object/one/use", { pool: "objects", uses: 2 }),
          ask("object/two/use", { pool: "objects", uses: 2 }),
          ask("use", { pool: "objects", uses: 2 }),
        ]);
        for (const pid of one.pids) seen.one.add(pid);
        for (const pid of two.pids) seen.two.add(pid);
        for (const pid of worker.pids) seen.worker.add(pid);
      }
      assert.deepEqual(
        { one: seen.one.size, two: seen.two.size, worker: seen.worker.size },
        { one: 1, two: 1, worker: 5 },
      );
      assert.equal(new Set([...seen.one, ...seen.two, ...seen.worker]).size, 7);
      const { opened, foreign } = await ask("tally");
      assert.equal(foreign, 0);
      assert.equal(Object.keys(opened).length, 7);
      await untilBackends("objects", 2);
    });

    test("a Durable Object keeps its connections between requests, which share them", async () => {
      const first = await ask("object/kept/use", { pool: "kept" });
      const all = await Promise.all(
        Array.from({ length: 8 }, () => ask("object/kept/use", { pool: "kept", uses: 2, seconds: 0.01 })),
      );
      const pids = new Set(all.flatMap((body) => body.pids));
      assert.ok(pids.has(first.pids[0]));
      assert.equal(pids.size, 2);
      assert.deepEqual(new Set(await backends("kept")), pids);
      const { current } = await ask("object/kept/stats", { pool: "kept" });
      assert.deepEqual(
        { idle: current.idle, used: current.used, total: current.total },
        { idle: 2, used: 0, total: 2 },
      );
    });

    test("a Durable Object closes what was idle for 30 seconds, as nothing was said, and opens again", async () => {
      const { pids } = await ask("object/reaped/useTogether", { pool: "reaped", uses: 3 });
      // A connection that comes back may serve a caller whose own still opens.
      assert.equal(pids.length, 3);
      await untilBackends("reaped", 0);
      await until(
        async () => (await ask("object/reaped/stats", { pool: "reaped" })).current.total === 0,
        "no slot is left",
      );
      const again = await ask("object/reaped/use", { pool: "reaped" });
      assert.ok(!pids.includes(again.pids[0]));
    });

    test(`${requests} requests by 30 clients: one scope for each request and object, none shared`, async () => {
      await ask("tally");
      const answers = { worker: [], object: [] };
      let next = 0;
      const client = async (kind, route) => {
        while (next++ < requests) answers[kind].push(await ask(route, { pool: "traffic", uses: 2 }));
      };
      const objects = ["red", "green", "blue"];
      await Promise.all([
        ...Array.from({ length: 12 }, () => client("worker", "use")),
        ...objects.flatMap((name) => Array.from({ length: 6 }, () => client("object", `object/${name}/use`))),
      ]);
      assert.ok(answers.worker.length > requests / 10 && answers.object.length > requests / 10);
      const { opened, foreign, swallowed } = await ask("tally");
      assert.equal(foreign, 0);
      assert.deepEqual(swallowed, []);
      const ofObjects = objects.map((name) => opened[`object ${name}`]);
      assert.ok(
        ofObjects.every((count) => count >= 1 && count <= 2),
        `the objects opened ${ofObjects}`,
      );
      assert.equal(Object.keys(opened).length, answers.worker.length + objects.length);
      const more = answers.worker.filter(({ owner, pids }) => opened[owner] !== 1 || pids[0] !== pids[1]);
      assert.equal(more.length, 0, "requests with more than one scope");
      const kept = await Promise.all(objects.map((name) => ask(`object/${name}/stats`, { pool: "traffic" })));
      await untilBackends(
        "traffic",
        kept.reduce((sum, { current }) => sum + current.total, 0),
      );
    });

    test("two hundred requests at once each hold a lease, and each lease works to its end", async () => {
      const count = 200;
      const crowd = Array.from({ length: count }, (_, number) =>
        ask("hold", { pool: "crowd", as: `crowd ${number}.`, till: "crowd" }),
      );
      await untilHeld("crowd", count);
      const { all } = await ask("stats", { pool: "crowd" });
      await ask("release", { as: "crowd" });
      const pids = (await Promise.all(crowd)).map((body) => new Set(body.pids));
      assert.ok(pids.every((own) => own.size === 1));
      assert.equal(new Set(pids.flatMap((own) => [...own])).size, count);
      assert.equal(all.used, count);
      await untilBackends("crowd", 0);
    });

    test("ten uses at once in one request are served by its two connections", async () => {
      const { pids, stats } = await ask("useTogether", { pool: "queue", uses: 10, seconds: 0.01 });
      assert.equal(pids.length, 10);
      assert.equal(new Set(pids).size, 2);
      assert.deepEqual(
        { waited: stats.waited, used: stats.used, waiting: stats.waiting },
        { waited: 8, used: 0, waiting: 0 },
      );
    });

    test("a request opens five connections and none beyond, as nothing was said", async () => {
      const { pids } = await ask("useTogether", { pool: "defaults", uses: 20, seconds: 0.01 });
      assert.equal(new Set(pids).size, 5);
    });

    test("a caller that waits for a lease of its own request is refused in time instead of being shot", async () => {
      const { second } = await ask("waitInVain", { pool: "scripted" });
      assert.equal(second.code, "ERR_POOL_TIMEOUT");
      assert.ok(second.ms >= 190 && second.ms < 2000, `${second.ms} ms`);
      assert.ok((await ask("waitForever", { pool: "scripted" })).waited > 0);
    });

    test("SingletonThreadPool and StaticPool lend one connection to each request and to each object", async () => {
      for (const pool of ["singleton", "static"]) {
        const one = await ask("useTogether", { pool, uses: 4 });
        const two = await ask("useTogether", { pool, uses: 4 });
        const object = await ask("object/single/useTogether", { pool, uses: 4 });
        const again = await ask("object/single/use", { pool });
        assert.deepEqual(
          [one, two, object].map(({ pids }) => new Set(pids).size),
          [1, 1, 1],
          pool,
        );
        assert.equal(new Set([one, two, object].flatMap(({ pids }) => pids)).size, 3, pool);
        assert.equal(again.pids[0], object.pids[0], pool);
      }
    });

    test("stats() are those of the caller's own request, of all with scope: all, and zeros without one", async () => {
      const running = ask("hold", { pool: "counted", as: "counted" });
      await untilHeld("counted");
      const { current, all } = await ask("stats", { pool: "counted" });
      await ask("release", { as: "counted" });
      const own = (await running).stats;
      assert.deepEqual({ used: own.used, idle: own.idle, total: own.total }, { used: 0, idle: 1, total: 1 });
      assert.deepEqual(
        { used: current.used, total: current.total, opened: current.opened },
        { used: 0, total: 0, opened: 1 },
      );
      assert.deepEqual({ used: all.used, total: all.total, opened: all.opened }, { used: 1, total: 1, opened: 1 });
      const atModuleScope = await ask("statsAtModuleScope");
      assert.equal(atModuleScope.current.total, 0);
      assert.equal(atModuleScope.all.total, 0);
      assert.equal(typeof atModuleScope.status, "string");
    });

    test("close() from one request is noticed by others at their next call; their leases go on", async () => {
      const used = await ask("useAround", { pool: "closed", path: path("close", { pool: "closed" }) });
      assert.equal(used.after.code, "ERR_POOL_CLOSED");
      const held = await ask("holdAround", {
        pool: "closedHeld",
        path: path("close", { pool: "closedHeld", timeout: "100ms" }),
      });
      assert.equal(new Set(held.pids).size, 1);
      assert.equal(held.next.code, "ERR_POOL_CLOSED");
      const later = await workerd.ask(path("use", { pool: "closed" }));
      assert.equal(later.body.error.code, "ERR_POOL_CLOSED");
      const object = await workerd.ask(path("object/late/use", { pool: "closed" }));
      assert.equal(object.body.error.code, "ERR_POOL_CLOSED");
      await untilBackends("closed", 0);
    });

    for (const [call, pool] of [
      ["invalidateAll", "invalidated"],
      ["dispose", "disposed"],
    ]) {
      test(`${call}() from one request is noticed by others at their next call, and their leases go on`, async () => {
        const used = await ask("object/around/useAround", { pool, path: path(call, { pool }) });
        assert.notEqual(used.pids[0], used.pids[1]);
        assert.equal(used.stats.total, 1);
        await untilBackends(pool, 1);
        const held = await ask("holdAround", { pool: `${pool}Held`, path: path(call, { pool: `${pool}Held` }) });
        assert.equal(new Set(held.pids).size, 1);
        assert.equal(held.next.code, undefined);
      });
    }

    test("leases of a request and of an object outlive 1,000 later requests and 300 later objects", async () => {
      const request = ask("hold", { pool: "outlived", as: "outlived 1", till: "outlived" });
      const object = ask("object/outlived/hold", { pool: "outlived", as: "outlived 2", till: "outlived" });
      await untilHeld("outlived", 2);
      let next = 0;
      const client = async () => {
        for (let number = next++; number < 1300; number = next++)
          await ask(number < 300 ? `object/${number}/touch` : "touch", { pool: "scripted" });
      };
      await Promise.all(Array.from({ length: 20 }, client));
      await ask("release", { as: "outlived" });
      // Where nothing is finalised, a scope so old was given up: its lease works to the end, and is then closed.
      const most = compatibilityDate < "2025-05-05" ? 2 : 1;
      for (const { pids } of [await request, await object]) {
        assert.equal(pids[0], pids[1]);
        assert.ok(new Set(pids).size <= most, `${pids}`);
      }
    });

    test("workerd says nothing but what was done to it on purpose, and no pool swallowed an error", async () => {
      assert.deepEqual(
        workerd.log.filter((line) => !/thrown on purpose|had hung/.test(line)),
        [],
      );
      assert.equal(workerd.log.filter((line) => /had hung/.test(line)).length, 1);
      assert.deepEqual((await ask("tally")).swallowed, []);
    });
  });
}
