// Every call of a request finds the request's own pool, whatever calls it: spans, events of sockets, calls over RPC,
// timers, streams, waitUntil(), queues and cron. On a real PostgreSQL, each test in a workerd of its own: no test leans
// on the traffic of another.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { startPostgres } from "../../../scripts/postgres.mjs";
import { bundleWorker, startWorkerd } from "./workerd.mjs";

/**
 * Before 2025-09-15 a context has a directory of its own with the flag alone. Without any it is told apart if the user
 * gives `scope: ctx`.
 */
const hosts = [
  { compatibilityDate: "2026-11-17" },
  { compatibilityDate: "2026-10-01" },
  { compatibilityDate: "2025-06-30", compatibilityFlags: ["nodejs_compat", "enable_nodejs_fs_module"] },
  { compatibilityDate: "2024-10-14", compatibilityFlags: ["nodejs_compat", "enable_nodejs_fs_module"] },
  { compatibilityDate: "2024-09-23", compatibilityFlags: ["nodejs_compat", "enable_nodejs_fs_module"] },
  { compatibilityDate: "2025-06-30", compatibilityFlags: ["nodejs_compat"], givesCtx: true },
  { compatibilityDate: "2024-09-23", compatibilityFlags: ["nodejs_compat"], givesCtx: true },
];

/** Queries one after another: one backend serves them all. */
const situations = {
  "queries one after another": { act: "request", path: "/plain" },
  "a span for each query": { act: "request", path: "/spans", isCrowded: true },
  "spans within a span": { act: "request", path: "/nested-spans" },
  "queries within spans and outside": { act: "request", path: "/spans-and-no-spans" },
  "spans in a request whose ctx the option scope returns": { act: "request", path: "/keyed-spans" },
  "callbacks of timers": { act: "request", path: "/timers" },
  "a body that the client pulls": { act: "pull" },
  "events of a WebSocket, with other requests between": { act: "sockets", count: 6, isCrowded: true },
  "a session over RPC, with other requests between": { act: "sessions", count: 6, isCrowded: true },
  "a method of an entrypoint": { act: "entrypoints", count: 4 },
  "a function that is called back over RPC": { act: "callbacks", count: 6 },
  "a cron trigger with spans": { act: "scheduled", count: 3 },
  "a batch of a queue with spans": { act: "queue", count: 4 },
};

let postgres;
let observer;
let folder;
let names = 0;

before(async () => {
  postgres = await startPostgres({ maxConnections: 900 });
  observer = new pg.Client(postgres.options);
  await observer.connect();
  folder = mkdtempSync(join(tmpdir(), "edgepool-requests-"));
  for (const name of ["worker", "driver"]) {
    await bundleWorker({
      entry: join(import.meta.dirname, `requests-${name}.mjs`),
      folder: join(folder, name),
    });
  }
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await observer.end();
  await postgres.stop();
});

/** Runs the Worker and its other side in a workerd of their own while `run` runs. */
async function inWorkerd({ compatibilityDate, compatibilityFlags = [], givesCtx = false }, run) {
  const { host, port, user, password, database } = postgres.options;
  const name = `requests ${++names}`;
  const workerd = await startWorkerd({
    experimental: true,
    workers: {
      main: {
        bundle: (into) => cpSync(join(folder, "worker"), into, { recursive: true }),
        compatibilityDate,
        compatibilityFlags,
        vars: {
          DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}`,
          NAME: name,
          ...(givesCtx && { GIVES_CTX: "1" }),
        },
        services: { CALLER: { service: "driver", entrypoint: "Caller" } },
      },
      driver: {
        bundle: (into) => cpSync(join(folder, "driver"), into, { recursive: true }),
        compatibilityDate,
        // With it a test can call the handlers of cron and queues.
        compatibilityFlags: [...compatibilityFlags, "service_binding_extra_handlers"],
        services: {
          MAIN: "main",
          SERVICE: { service: "main", entrypoint: "Service" },
          CALLING: { service: "main", entrypoint: "Calling" },
        },
      },
    },
  });
  try {
    return await run(workerd, name);
  } finally {
    await workerd.stop();
  }
}

async function ask(workerd, path, worker) {
  const { status, body } = await workerd.ask(path, { worker, timeoutMs: 60_000 });
  assert.equal(status, 200, `${path}: ${JSON.stringify(body)}\n${workerd.log.join("\n")}`);
  return body;
}

/** Returns what `run` returns, and the most backends at once that the server had meanwhile. */
async function watching(name, run) {
  let most = 0;
  let isOver = false;
  const watch = (async () => {
    while (!isOver) {
      const { rows } = await observer.query(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1",
        [name],
      );
      most = Math.max(most, rows[0].n);
      await delay(5);
    }
  })();
  try {
    return { answers: await run(), most: () => most };
  } finally {
    isOver = true;
    await watch;
  }
}

/** One backend for each request, and each request its own. */
function assertApart(answers, perRequest) {
  const sets = answers.map((pids) => new Set(pids));
  for (const pids of answers) assert.ok(pids.length > 0 && pids.every((pid) => pid > 0), JSON.stringify(answers));
  assert.deepEqual(
    sets.map((pids) => pids.size).filter((size) => size > perRequest),
    [],
    "requests with more backends",
  );
  assert.equal(
    new Set(sets.flatMap((pids) => [...pids])).size,
    sets.reduce((sum, { size }) => sum + size, 0),
  );
}

for (const host of hosts) {
  const { compatibilityDate, compatibilityFlags = [], givesCtx = false } = host;
  const how = givesCtx
    ? ", which gives its ctx"
    : compatibilityFlags.length > 1
      ? ` with ${compatibilityFlags[1]}`
      : "";
  describe(`a request at ${compatibilityDate}${how}`, () => {
    const crowdsOf = (isCrowded) => (isCrowded && host === hosts[0] ? [1, 5, 20, 40, 200] : [20]);
    for (const [what, { act, path, count = 1, isCrowded = false }] of Object.entries(situations)) {
      const crowds = crowdsOf(isCrowded);
      test(`has one backend for ${what}, ${crowds.join(", ")} at once`, async () => {
        for (const clients of crowds) {
          await inWorkerd(host, async (workerd, name) => {
            const { answers, most } = await watching(name, () =>
              ask(workerd, `/${act}?clients=${clients}&count=${count}&path=${path ?? ""}`, "driver"),
            );
            assertApart(answers, 1);
            // The request, and the other one that came between.
            assert.ok(most() <= 4 * clients, `${most()} backends for ${clients} clients`);
          });
        }
      });
    }

    const crowds = crowdsOf(true);
    test(`has poolSize backends for spans that run side by side, ${crowds.join(", ")} at once`, async () => {
      for (const clients of crowds) {
        await inWorkerd(host, async (workerd, name) => {
          const { answers, most } = await watching(name, () =>
            ask(workerd, `/request?clients=${clients}&count=1&path=/parallel-spans`, "driver"),
          );
          assertApart(answers, 2);
          assert.ok(most() <= 2 * clients, `${most()} backends for ${clients} requests`);
        });
      }
    });

    test("has its backend after the response, in waitUntil()", async () => {
      await inWorkerd(host, async (workerd) => {
        const answers = await ask(workerd, "/request?clients=20&count=1&path=/wait-until", "driver");
        for (const [id, [first]] of answers.entries()) {
          let all = [];
          for (let attempt = 0; all.length === 0 && attempt < 200; attempt++) {
            await delay(10);
            all = await ask(workerd, `/left?id=${id}`, "main");
          }
          assert.deepEqual(all, [first, first, first, first]);
        }
      });
    });

    for (const kind of ["SingletonThreadPool", "StaticPool"]) {
      test(`is in one transaction in all of its spans, with a ${kind}`, async () => {
        await inWorkerd(host, async (workerd) => {
          const isInside = await Promise.all(
            Array.from({ length: 20 }, () => ask(workerd, `/transaction?kind=${kind}`, "main")),
          );
          assert.deepEqual(
            isInside,
            Array.from({ length: 20 }, () => true),
          );
        });
      });
    }
  });
}
