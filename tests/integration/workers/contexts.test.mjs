// One pool at module scope of a Worker, on scripted connections that behave as sockets do: what a request, a Durable
// Object and a request that comes to a bad end may expect of it, for every compatibility date that matters. On a real
// PostgreSQL: scopes.test.mjs.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { root } from "../../../scripts/run.mjs";
import { startWorkerd } from "./workerd.mjs";

/** Before 2024-10-14 a promise that another request settles never continues; before 2025-05-05 nothing is finalised. */
const dates = ["2024-09-23", "2024-10-14", "2025-06-30", "2026-10-01", "2026-11-17"];

for (const compatibilityDate of dates) {
  describe(`with the compatibility date ${compatibilityDate}`, () => {
    let workerd;
    const ask = async (path) => {
      const { status, body } = await workerd.ask(path);
      assert.equal(
        status,
        200,
        `${path}: ${typeof body === "string" ? body : JSON.stringify(body)}\n${workerd.log.join("\n")}`,
      );
      return body;
    };
    /** Asks again until the other request has come so far. */
    const askUntil = async (path, isSo) => {
      for (let attempt = 0; ; attempt++) {
        const answer = await ask(path);
        if (isSo(answer)) return answer;
        assert.ok(attempt < 100, JSON.stringify(answer));
      }
    };
    const start = () =>
      startWorkerd({
        workers: {
          main: {
            entry: join(root, "tests/integration/workers/contexts-worker.mjs"),
            compatibilityDate,
            compatibilityFlags: compatibilityDate < "2026-08-04" ? ["nodejs_compat"] : [],
            durableObjects: { ACTOR: "Actor" },
          },
        },
      });
    before(async () => (workerd = await start()));
    after(() => workerd.stop());

    it("keeps one connection in each of 300 objects that are called in turn", async () => {
      const own = await start();
      try {
        for (let round = 0; round < 4; round++)
          for (let object = 0; object < 300; object++) await own.ask(`/use?object=${object}`);
        assert.equal((await own.ask("/opened")).body, 300);
      } finally {
        await own.stop();
      }
    });

    it("finds an object again that is the first to use the pool, when nothing says yet that it is one", async () => {
      const first = await ask("/use?object=first");
      assert.deepEqual(await ask("/use?object=first"), first);
      await ask("/use");
      assert.deepEqual(await ask("/use?object=first"), first);
      assert.equal(
        (await ask("/limits?object=first")).max,
        12,
        "once another context tells, the limits of an object hold",
      );
    });

    it("refuses a connect() at module scope and says where to call it", async () => {
      const error = await ask("/module-scope");
      assert.equal(error.code, "ERR_POOL_INVALID_REQUEST");
      assert.match(error.message, /handler/);
    });

    it("gives the same connection twice in one request, and another one to the next", async () => {
      const [one, two] = [await ask("/use"), await ask("/use")];
      assert.equal(one[0], one[1]);
      assert.equal(two[0], two[1]);
      assert.notEqual(one[0], two[0]);
    });

    it("does the same where the request gives its ctx as the key", async () => {
      const [one, two] = [await ask("/use?scope=1"), await ask("/use?scope=1")];
      assert.equal(one[0], one[1]);
      assert.equal(two[0], two[1]);
      assert.notEqual(one[0], two[0]);
    });

    it("takes no key's word for it: one that every request gives still parts them", async () => {
      const [one, two] = await Promise.all([ask("/use?scope=env"), ask("/use?scope=env")]);
      assert.equal(new Set([...one, ...two]).size >= 2, true);
      assert.equal(
        one.some((id) => two.includes(id)),
        false,
      );
    });

    it("does not take a request for an object whose key looks like an object's state", async () => {
      await ask("/use");
      assert.equal(await ask("/key-alike"), 5);
    });

    it("keeps the connections of requests apart that run at the same time", async () => {
      const pairs = await Promise.all(Array.from({ length: 10 }, () => ask("/use-slowly")));
      assert.equal(new Set(pairs.map(([first]) => first)).size, 10);
      for (const [first, second] of pairs) assert.equal(first, second, "and finds them again");
    });

    it("keeps an object's connection from one of its requests to the next, and each object its own", async () => {
      const [a, b] = [await ask("/use?object=a"), await ask("/use?object=b")];
      await ask("/use");
      assert.deepEqual(await ask("/use?object=a"), a);
      assert.deepEqual(await ask("/use?object=b"), b);
      assert.deepEqual(await ask("/use?object=a&scope=1"), a, "by its ctx, too");
      assert.notEqual(a[0], b[0]);
    });

    it("opens no more than poolSize in a request, and as many as Node in an object", async () => {
      await ask("/use");
      assert.equal((await ask("/limits")).max, 2);
      await ask("/use?object=b");
      assert.equal((await ask("/limits?object=b")).max, 12);
    });

    it("lets callers of one request queue for its connections", async () => {
      const { seen, waited } = await ask("/queue");
      assert.equal(new Set(seen).size, 2);
      assert.ok(waited >= 3);
    });

    it("refuses a caller in time, although nothing else is pending in the request", async () => {
      const error = await ask("/time-out");
      assert.equal(error.code, "ERR_POOL_TIMEOUT");
    });

    it("is not taken for hung while a caller waits without a time-out", async () => {
      // The runtime ends a request that waits for nothing at once, as it does /hang; this one waits until its client
      // leaves.
      const answer = await workerd.ask("/wait-for-ever", { timeoutMs: 300 }).catch((error) => error);
      assert.match(String(answer.message), /no answer/, JSON.stringify(answer));
      await ask("/use");
    });

    it("reads the numbers of the current scope without making one, and those of all", async () => {
      const { current, all, counts } = await ask("/stats");
      assert.deepEqual([current.total, current.used, ...counts], [0, 0, 2, 0, -2, 0]);
      assert.ok(all.total >= 2, "the objects have theirs");
      assert.ok(current.opened >= 15 && current.opened === all.opened, "counters are the pool's");
    });

    it("refuses a lease in another request at once, says why, and leaves it to its owner", async () => {
      const keeping = ask("/keep");
      const answer = await askUntil("/borrow", ({ connection }) => /belongs/.test(connection.message));
      for (const use of ["connection", "record", "close", "invalidate", "detach"]) {
        assert.equal(answer[use].code, "ERR_POOL_INVALID_REQUEST", use);
        assert.match(answer[use].message, /another request.*connect\(\) in the handler/, use);
      }
      assert.equal(typeof answer.own, "number", "a connection of its own it gets");
      const { valid, query } = await keeping;
      assert.deepEqual({ valid, query }, { valid: true, query: "nothing" }, "the owner's still works");
    });

    it("refuses a record in another request, too", async () => {
      const keeping = ask("/keep-record");
      await ask("/nothing");
      const answer = await askUntil("/borrow-record", ({ invalidate }) => /belongs/.test(invalidate.message));
      for (const use of ["connection", "invalidate", "soft", "close", "finalize"])
        assert.match(answer[use].message, /another request/, use);
      assert.equal(await keeping, "nothing");
    });

    it("notices an abort in another request, at the latest by its own timer", async () => {
      const waiting = ask("/wait-for-signal");
      await ask("/hold?ms=100");
      await ask("/abort");
      const { error, ms } = await waiting;
      assert.equal(error.message, "enough");
      assert.ok(ms < 1500);
      if (compatibilityDate >= "2024-10-14") assert.ok(ms < 800, `at once: ${ms} ms`);
    });

    it("takes no harm from requests that hang, throw or lose their client with a lease out", async () => {
      for (let round = 0; round < 3; round++) {
        await workerd.ask("/hang", { timeoutMs: 100 }).catch(() => {});
        assert.equal((await workerd.ask("/throw")).status, 500);
        await workerd.ask("/hold?ms=2000", { timeoutMs: 50 }).catch(() => {});
        const [one, two] = await ask("/use");
        assert.equal(one, two);
      }
    });

    it("works for two hundred requests at once that each hold a lease", async () => {
      const ids = await Promise.all(Array.from({ length: 200 }, () => ask("/hold?ms=300")));
      assert.equal(new Set(ids).size, 200);
    });

    it("has every scope replace its connections after an invalidateAll() anywhere", async () => {
      const idle = ask("/idle-meanwhile");
      const held = await ask("/use?object=a");
      await ask("/invalidate-all");
      const { before: one, after: two } = await idle;
      assert.notEqual(one, two);
      assert.notDeepEqual(await ask("/use?object=a"), held);
    });

    it("has every scope close its idle connections by itself after a dispose() anywhere", async () => {
      const idle = ask("/idle-meanwhile");
      const held = await ask("/use?object=a");
      await ask("/dispose");
      const { before: one, after: two, calls } = await idle;
      assert.notEqual(one, two);
      assert.ok(calls.includes("close"), "in its own request");
      assert.notDeepEqual(await ask("/use?object=a"), held);
    });

    it("keeps the other kinds apart by request, too", async () => {
      for (const kind of ["NullPool", "SingletonThreadPool", "StaticPool"]) {
        const [one, two] = [await ask(`/kind?kind=${kind}`), await ask(`/kind?kind=${kind}`)];
        assert.equal(one[0] === one[1], kind !== "NullPool", kind);
        assert.notEqual(one[0], two[0], kind);
      }
    });

    it("gives a key of the user's a scope within each request, and ends it with endScope()", async () => {
      const [one, two] = [await ask("/key?key=a"), await ask("/key?key=a")];
      assert.equal(one[0], one[1]);
      assert.equal(two[0], two[1]);
      assert.notEqual(one[0], two[0], "the key is verified");
      assert.deepEqual((await ask("/end-key?key=a")).at(-1), "close");
    });

    it("keeps the scopes of one key apart by request and object, and finds each again", async () => {
      const objects = [];
      for (let round = 0; round < 3; round++)
        for (const object of ["a", "b"]) objects.push(await ask(`/same-key?object=${object}`));
      assert.equal(new Set(objects).size, 2);
      assert.equal(objects.includes(await ask("/same-key")), false);
    });

    it("shares connections within a request that has spans of its own, while others run", async () => {
      // Before 2025-09-15 nothing names the request in them but its ctx.
      const path = compatibilityDate < "2025-09-15" ? "/spans?scope=1" : "/spans";
      assert.deepEqual(await Promise.all(Array.from({ length: 4 }, () => ask(path))), [1, 1, 1, 1]);
    });

    it("works for a thousand requests at once that each hold a lease", async () => {
      const ids = await Promise.all(Array.from({ length: 1000 }, () => ask("/hold?ms=50")));
      assert.equal(new Set(ids).size, 1000);
    });

    it("shares connections without a socket among requests where scope is isolate", async () => {
      const first = await ask("/shared");
      assert.equal(await ask("/shared"), first);
      const answers = await Promise.all(Array.from({ length: 4 }, () => ask("/shared?ms=30")));
      assert.deepEqual(new Set(answers), new Set([first]), "and its callers queue across requests");
    });

    it("has waiters of other requests refused by their own timers after close(), and later callers too", async () => {
      const waiting = ask("/close-while-waiting");
      await ask("/hold?ms=100");
      const { closed, error } = await ask("/close");
      assert.equal(closed, true);
      assert.equal(error.code, "ERR_POOL_CLOSED");
      assert.equal((await waiting).error.code, "ERR_POOL_CLOSED");
      assert.equal((await ask("/close")).closed, true);
    });

    it("has logged nothing that went wrong", async () => {
      const lines = (await ask("/logged")).filter((line) => !line.includes("garbage-collected"));
      assert.deepEqual(lines, []);
      assert.deepEqual(
        workerd.log.filter((line) => /different request|different Durable Object/.test(line)),
        [],
      );
    });
  });
}

describe("a host whose process or files are not the runtime's own", () => {
  const source = (more, later = "") => `
    ${more}
    import { tracing } from "cloudflare:workers";
    import { QueuePool } from "edgepool";
    const open = () => ({ socket: new WebSocketPair()[0], rollback() {}, close() {} });
    const pool = new QueuePool(open, { poolSize: 2 });
    const use = () => pool.use(({ socket }) => socket.readyState);
    export default {
      async fetch() {
        ${later}
        await use();
        await tracing.enterSpan("one", use);
        await tracing.enterSpan("two", use);
        return Response.json(pool.stats().total);
      },
    };`;
  const throwing = `
    const files = process.getBuiltinModule("node:fs");
    for (const name of ["lstatSync", "readlinkSync", "symlinkSync"])
      Object.defineProperty(files, name, { value: () => { throw new Error(name + " is not implemented"); } });`;
  const hosts = {
    "process.getBuiltinModule throws": source(
      `import "data:text/javascript,process.getBuiltinModule%20=%20()%20=>%20{%20throw%20new%20Error()%20}";`,
    ),
    "the functions of node:fs are replaced before the import": source(
      `import "data:text/javascript,${encodeURIComponent(throwing)}";`,
    ),
    "the functions of node:fs are replaced later": source("", throwing),
  };
  for (const [host, text] of Object.entries(hosts))
    it(`serves a request, although ${host}`, async () => {
      const workerd = await startWorkerd({ workers: { main: { source: text } } });
      try {
        for (let request = 0; request < 3; request++)
          assert.deepEqual(await workerd.ask("/"), { status: 200, body: 1 }, workerd.log.join("\n"));
      } finally {
        await workerd.stop();
      }
    });
});
