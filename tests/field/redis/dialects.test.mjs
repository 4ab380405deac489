// The dialects of ioredis and redis on a real Redis: what a return resets and what it costs, and what callers notice of
// a server that goes. Each test runs with each driver and both versions of the protocol.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { until } from "../../integration/watched-postgres.mjs";
import { layProject } from "../project.mjs";
import { startRedis } from "../redis.mjs";

const server = await startRedis();
const project = layProject("redis", join(import.meta.dirname, "app"));
const { drivers, NullPool, QueuePool, unconnected } = await import(
  pathToFileURL(join(project.folder, "drivers.mjs")).href
);

const pools = [];
const unhandled = [];
process.on("unhandledRejection", (error) => void unhandled.push(error));

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close({ timeout: 0 })));
  assert.deepEqual(unhandled.splice(0), []);
  await server?.ask("FLUSHALL");
});
after(() => server?.stop());

/** A pool of one client, and what it has to complain of. */
function made(driver, { client = {}, Kind = QueuePool, ...options } = {}) {
  const complaints = [];
  const note = (message, error) => complaints.push([message, error?.message].join(": "));
  const logger = { debug() {}, info() {}, warn: note, error: note };
  const sizes = Kind === QueuePool ? { poolSize: 1, maxOverflow: 0 } : {};
  const pool = new Kind(() => driver.open(server.port, client), {
    dialect: driver.dialect,
    logger,
    driverTimeout: "3s",
    ...sizes,
    ...options,
  });
  pools.push(pool);
  return { pool, complaints, send: (...args) => pool.use((used) => driver.send(used, ...args)) };
}

const idOf = (driver, client) => driver.send(client, "CLIENT", "ID").then(String);

/** Registers a test for each driver. Without a server there is one line about it, and no test. */
function testEach(name, body) {
  if (server === undefined) return;
  for (const [driver, how] of Object.entries(drivers)) test(`${driver}: ${name}`, () => body(how, driver));
}

testEach("a lease cycle without MULTI, WATCH, SUBSCRIBE or SELECT costs no round trip", async (driver) => {
  for (const resetOnReturn of ["rollback", "commit", "session", "none"]) {
    const { pool } = made(driver, { resetOnReturn });
    await pool.warm(1);
    await server.forgetCalls();
    for (let time = 0; time < 20; time++) {
      await pool.use(() => {});
      await pool.use((client) => client.incr("number"));
      await pool.use((client) => driver.pipeline(client));
    }
    assert.deepEqual(await server.calls(), { incr: 40, get: 20 }, resetOnReturn);
    assert.equal(pool.stats().opened, 1);
  }
});

testEach("a transaction that its caller has ended costs no round trip", async (driver) => {
  const { pool, send } = made(driver);
  await pool.warm(1);
  await server.forgetCalls();
  for (let time = 0; time < 10; time++) {
    await pool.use((client) => driver.transaction(client));
    await pool.use(async (client) => {
      await client.watch("number");
      await driver.transaction(client);
    });
    await pool.use(async (client) => {
      await driver.multi(client);
      await driver.send(client, "SET", "discarded", 1);
      await driver.send(client, "DISCARD");
    });
  }
  assert.deepEqual(await server.calls(), { multi: 30, incr: 20, exec: 20, watch: 10, discard: 10 });
  assert.equal(await send("GET", "discarded"), null);
});

testEach("after no sequence of commands the dialect calls a session clean that is not", async (driver) => {
  const { dialect } = driver;
  const commands = [
    ["MULTI"],
    ["multi"],
    ["EXEC"],
    ["DISCARD"],
    ["WATCH", "number"],
    ["UNWATCH"],
    ["SELECT", 0],
    ["select", 1],
    ["SELECT", "wrong"],
    ["INCR", "number"],
    ["INCR", "text"],
    ["NONSENSE"],
    ["EXEC", "wrong"],
    ["MULTI", "wrong"],
    ["EVAL", "redis.call('SELECT', 2) return 1", 0],
  ];
  const client = await driver.open(server.port);
  const unwatch = dialect.onDisconnect(client, () => {});
  const id = await idOf(driver, client);
  await driver.send(client, "SET", "text", "abc");
  const asked = await driver.open(server.port);
  /** What Redis itself says of the session. */
  const isAtRest = async () => {
    const line = String(await driver.send(asked, "CLIENT", "LIST", "ID", id));
    return / multi=-1 /.test(line) && / db=0 /.test(line) && / sub=0 psub=0 ssub=0 /.test(line);
  };
  let seed = 20261130;
  const random = (below) => ((seed = (seed * 1103515245 + 12345) % 2 ** 31) >> 8) % below;
  let clean = 0;
  for (let step = 0; step < 300; step++) {
    if (random(6) === 0) await driver.transaction(client).catch(() => {});
    else await driver.send(client, ...commands[random(commands.length)]).catch(() => {});
    if (!dialect.inTransaction(client)) {
      clean++;
      assert.ok(await isAtRest(), `step ${step}`);
    } else if (random(4) === 0) {
      await dialect.doRollback(client);
      assert.equal(dialect.inTransaction(client), false);
      assert.ok(await isAtRest(), `step ${step}, after a reset`);
    }
  }
  assert.ok(clean > 20, `${clean} times clean`);
  unwatch();
  dialect.doTerminate(client);
  dialect.doTerminate(asked);
});

testEach("a transaction that was left open is discarded before the next caller", async (driver) => {
  const { pool, send, complaints } = made(driver);
  for (const leave of [
    async (client) => {
      await driver.multi(client);
      await client.incr("left");
    },
    (client) => driver.send(client, "multi"),
    // Not awaited.
    (client) => {
      void driver.multi(client);
      void client.incr("left");
    },
    // Redis refuses to execute it, and has then discarded it.
    async (client) => {
      await driver.multi(client);
      await driver.send(client, "NONSENSE").catch(() => {});
      await driver.send(client, "EXEC").catch(() => {});
    },
    async (client) => {
      await driver.multi(client);
      await driver.send(client, "SELECT", 3);
      await client.incr("left");
    },
    async (client) => {
      await driver.multi(client);
      await driver.send(client, "EXEC", "wrong").catch(() => {});
    },
  ]) {
    await pool.use(async (client) => void (await leave(client)));
    assert.equal(await send("INCR", "number").then(Number), Number(await server.ask("GET", "number")), String(leave));
  }
  assert.equal(await send("GET", "left"), null);
  assert.equal(pool.stats().opened, 1);
  assert.deepEqual(complaints, []);
});

testEach('with resetOnReturn "commit" a transaction that was left open is executed', async (driver) => {
  const { pool, send } = made(driver, { resetOnReturn: "commit" });
  await pool.use(async (client) => {
    await driver.multi(client);
    await client.incr("left");
  });
  assert.equal(await send("GET", "left"), "1");
  assert.equal(pool.stats().opened, 1);
});

testEach("a key that was watched does not fail the next caller's transaction", async (driver) => {
  const { pool } = made(driver);
  await pool.use((client) => client.watch("watched"));
  await server.ask("SET", "watched", 1);
  const answers = await pool.use((client) => driver.transaction(client));
  assert.equal(String(answers.flat().at(-1)), "1");
  assert.equal(pool.stats().opened, 1);
});

testEach("a database that was selected is not the next caller's", async (driver) => {
  for (const db of [0, 2]) {
    const { pool, send, complaints } = made(driver, { client: { db } });
    for (const leave of [
      (client) => client.select(5),
      (client) => driver.send(client, "select", 5),
      (client) => client.multi().select(5).exec(),
      async (client) => {
        await driver.multi(client);
        await client.select(5);
        await driver.send(client, "EXEC");
      },
      (client) => void client.select(5),
    ]) {
      await pool.use(async (client) => void (await leave(client)));
      await send("SET", "where", db);
      assert.equal(await server.ask("-n", db, "GET", "where"), String(db), String(leave));
      assert.equal(await server.ask("-n", 5, "GET", "where"), "", String(leave));
    }
    assert.equal(pool.stats().opened, 1);
    assert.deepEqual(complaints, []);
  }
});

testEach("a subscription ends at the return, and the connection goes on", async (driver) => {
  const { pool, send, complaints } = made(driver);
  const received = [];
  await pool.use((client) => driver.subscribe(client, "news", (...given) => received.push(given)));
  assert.equal(await server.ask("PUBLISH", "news", "late"), "0");
  assert.equal(await send("SET", "number", 1), "OK");
  await pool.use(async (client) => {
    await client.watch("number");
    await driver.subscribe(client, "news", () => {});
  });
  assert.equal(await server.ask("PUBLISH", "news", "late"), "0");
  assert.equal(await send("GET", "number"), "1");
  assert.deepEqual(received, []);
  // Its caller has ended it.
  await pool.use(async (client) => {
    await driver.subscribe(client, "news", () => {});
    await client.unsubscribe("news");
  });
  assert.equal(await send("GET", "number"), "1");
  assert.equal(pool.stats().opened, 1);
  assert.deepEqual(complaints, []);
});

testEach("subscriptions to patterns and shards end at the return", async (driver) => {
  const { pool, send, complaints } = made(driver);
  const [psubscribe, ssubscribe] = driver.dialect.name === "redis" ? ["pSubscribe", "sSubscribe"] : [];
  await pool.use((client) => client[psubscribe ?? "psubscribe"]("new*", () => {}));
  assert.equal(await server.ask("PUBLISH", "news", "late"), "0");
  await pool.use(async (client) => {
    await client[ssubscribe ?? "ssubscribe"]("shard", () => {});
    await driver.subscribe(client, "news", () => {});
    await client[psubscribe ?? "psubscribe"]("new*", () => {});
  });
  assert.equal(await server.ask("SPUBLISH", "shard", "late"), "0");
  assert.equal(await server.ask("PUBLISH", "news", "late"), "0");
  assert.equal(await send("SET", "number", 1), "OK");
  assert.equal(pool.stats().opened, 1);
  assert.deepEqual(complaints, []);
});

testEach("a blocking command under way costs the connection at once, and takes no element later", async (driver) => {
  const { pool, send, complaints } = made(driver);
  const start = performance.now();
  let popped;
  await pool.use(async (client) => {
    popped = driver.send(client, "BLPOP", "list", 0).catch((error) => error);
    await until(async () => (await server.ask("INFO", "clients")).includes("blocked_clients:1"), "a blocked client");
  });
  assert.ok((await popped) instanceof Error);
  assert.equal(await send("RPUSH", "list", "kept").then(Number), 1);
  assert.equal(await send("LLEN", "list").then(Number), 1);
  assert.ok(performance.now() - start < 2_000);
  assert.equal(pool.stats().opened, 2);
  assert.deepEqual(complaints, []);
});

testEach("a script under way is waited for, and the connection is kept", async (driver) => {
  const { pool, send, complaints } = made(driver);
  const script = "for i = 1, 2000000 do end return 1";
  await pool.use((client) => void driver.send(client, "EVAL", script, 0));
  assert.equal(await send("SET", "number", 1), "OK");
  assert.equal(pool.stats().opened, 1);
  assert.deepEqual(complaints, []);
});

testEach("what makes a client useless costs it at its return, whatever is reset", async (driver) => {
  for (const resetOnReturn of ["rollback", "none"]) {
    const { pool, send, complaints } = made(driver, { resetOnReturn });
    const leaves = [
      (client) => driver.monitor(client),
      async (client) => {
        driver.send(client, "CLIENT", "REPLY", "OFF").catch(() => {});
        // Until then an automatic pipeline has it.
        await new Promise(setImmediate);
      },
      (client) => driver.send(client, "HELLO", 2),
      (client) => driver.quit(client),
      (client) => void driver.quit(client).catch(() => {}),
      (client) => driver.end(client),
    ];
    for (const leave of leaves) {
      await pool.use(async (client) => void (await leave(client)));
      assert.equal(await send("SET", "number", 1), "OK", String(leave));
    }
    assert.equal(pool.stats().opened, leaves.length + 1);
    assert.deepEqual(complaints, []);
  }
});

testEach('"session" replaces a client only if a caller changed what no command restores', async (driver) => {
  const { pool, send } = made(driver, { resetOnReturn: "session" });
  await pool.use(async (client) => {
    await driver.multi(client);
    await client.incr("left");
  });
  assert.equal(await send("GET", "left"), null);
  assert.equal(pool.stats().opened, 1);
  await send("CLIENT", "SETNAME", "mine");
  assert.notEqual(await send("CLIENT", "GETNAME"), "mine");
  assert.equal(pool.stats().opened, 2);
});

testEach("a client that is killed while it is idle is replaced, and no caller notices", async (driver) => {
  const { pool, send } = made(driver);
  const id = await pool.use((client) => idOf(driver, client));
  await server.ask("CLIENT", "KILL", "ID", id);
  await until(() => pool.stats().total === 0 || pool.stats().idle === 0, "the death is noticed");
  assert.equal(await send("SET", "number", 1), "OK");
  assert.equal(pool.stats().opened, 2);
});

testEach("a client that is killed under a command fails its caller, and the next has another", async (driver) => {
  const { pool, send } = made(driver);
  await assert.rejects(
    pool.use(async (client) => {
      const id = await idOf(driver, client);
      const popping = driver.send(client, "BLPOP", "list", 0);
      popping.catch(() => {});
      await server.ask("CLIENT", "KILL", "ID", id);
      await popping;
    }),
  );
  assert.equal(await send("SET", "number", 1), "OK");
  assert.equal(pool.stats().opened, 2);
});

testEach("a client that reconnects does not go on outside of its transaction", async (driver) => {
  const { pool, send, complaints } = made(driver, { client: driver.reconnecting });
  await pool.use(async (client) => {
    const id = await idOf(driver, client);
    await driver.multi(client);
    await server.ask("CLIENT", "KILL", "ID", id);
    for (let time = 0; time < 20; time++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      await driver.send(client, "INCR", "outside").catch(() => {});
    }
  });
  assert.equal(await send("GET", "outside"), null);
  assert.equal(pool.stats().opened, 2);
  const ids = await server.clients();
  assert.equal(ids.length, 1, "the client that was killed has not come back");
  assert.match(complaints.join(), /^pool .*: the creator returns a .* that reconnects; give it /);
});

testEach("callers go on after a restart of the server, idle and under load", async (driver) => {
  for (const signal of ["SIGTERM", "SIGKILL"]) {
    const { pool } = made(driver, { poolSize: 4, openRetry: true, deadline: "10s" });
    await Promise.all(Array.from({ length: 8 }, () => pool.use((client) => client.incr("number"))));
    await server.restart(signal);
    await Promise.all(Array.from({ length: 8 }, () => pool.use((client) => client.incr("number"))));
    let isOver = false;
    const load = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        await pool.use((client) => client.incr("number")).catch(() => {});
        await new Promise(setImmediate);
      }
    });
    await server.restart(signal);
    isOver = true;
    await Promise.all(load);
    for (let time = 0; time < 8; time++) await pool.use((client) => client.incr("number"));
    await pool.close();
    assert.deepEqual(await server.clients(), []);
  }
});

test("a dialect names the client of the other driver, and one that is not connected", async () => {
  for (const { dialect, other, client, words } of unconnected) {
    const pool = new QueuePool(() => client, { dialect });
    await assert.rejects(pool.connect(), {
      name: "TypeError",
      message: `dialect "${dialect.name}" was given ${words} that is not connected; the creator must await connect()`,
    });
    const label = `${words} of ${dialect.name}`;
    assert.throws(() => other.doCheck(client), {
      message: `dialect "${other.name}" was given ${label}; use edgepool/dialects/${dialect.name}`,
    });
    assert.throws(() => dialect.doCheck({}), /was given an object without sendCommand\(\)/);
    await pool.close();
  }
});

testEach("an opening waits out a server that is full, and says why it fails otherwise", async (driver) => {
  const { send } = made(driver, { openRetry: true, deadline: "10s" });
  await server.ask("CONFIG", "SET", "maxclients", 2);
  const { pool: other } = made(driver);
  const lease = await other.connect();
  const { pool: third } = made(driver);
  const leases = [lease, await third.connect().catch(() => undefined)];
  const waiting = send("SET", "number", 1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const one of leases) await one?.invalidate();
  assert.equal(await waiting, "OK");
  await Promise.all([other.close({ timeout: 0 }), third.close({ timeout: 0 })]);
  await server.ask("CONFIG", "SET", "maxclients", 10_000);
  const { pool } = made(driver, {
    client: { username: "nobody", password: "wrong" },
    openRetry: true,
    deadline: "10s",
  });
  await assert.rejects(pool.connect(), /WRONGPASS/);
});

if (server !== undefined) {
  test("redis: a version that hides its commands is reset at each return", async () => {
    const driver = drivers["redis, RESP3"];
    const { pool, send, complaints } = made({
      ...driver,
      open: async (...given) => Object.assign(await driver.open(...given), { _getQueue: undefined }),
    });
    const received = [];
    await pool.use(async (client) => {
      await client.watch("number");
      await driver.subscribe(client, "news", (...given) => received.push(given));
      await client.select(5);
      await driver.multi(client);
      await client.incr("number");
    });
    assert.equal(await server.ask("PUBLISH", "news", "late"), "0");
    assert.equal(await send("GET", "number"), null);
    await send("SET", "number", 1);
    assert.equal(await server.ask("GET", "number"), "1");
    assert.deepEqual(received, []);
    assert.equal(pool.stats().opened, 1);
    assert.deepEqual(complaints, []);
  });

  test("ioredis: a command whose time is over costs its connection at once", async () => {
    const driver = drivers["ioredis, RESP3"];
    const { pool, send } = made(driver, { client: { commandTimeout: 50 } });
    await send("SET", "number", 1);
    server.halt();
    const start = performance.now();
    await assert.rejects(send("GET", "number"), /Command timed out/);
    assert.equal(pool.stats().invalidated, 1);
    assert.ok(performance.now() - start < 900);
    server.go();
    const { send: next } = made(driver);
    assert.equal(await next("GET", "number"), "1");
  });

  test("ioredis: a command of a script is guarded, and its session is watched", async () => {
    const driver = drivers["ioredis, RESP3"];
    const { pool } = made(driver);
    const late = await pool.use(async (client) => {
      client.defineCommand("increase", { numberOfKeys: 1, lua: "return redis.call('INCR', KEYS[1])" });
      assert.equal(await client.increase("number"), 1);
      return client;
    });
    await assert.rejects(late.increase("number"), { code: "ERR_POOL_INVALID_REQUEST" });
    await new Promise((resolve) => {
      late.get("number", (error) => resolve(assert.equal(error.code, "ERR_POOL_INVALID_REQUEST")));
    });
    await server.forgetCalls();
    await pool.use((client) => client.increase("number"));
    assert.deepEqual(Object.keys(await server.calls()).sort(), ["evalsha", "incr"]);
  });
}

testEach("a subscription within a transaction never reaches the next caller", async (driver) => {
  const { pool, send } = made(driver);
  await pool.use((client) => driver.subscribeInTransaction(client, "news"));
  const info = await send("CLIENT", "INFO");
  assert.match(String(info), / db=0 sub=0 psub=0 /);
});

testEach("prePing replaces a client whose server does not answer", async (driver) => {
  const { pool, send } = made(driver, { prePing: true, pingTimeout: "100ms" });
  await send("SET", "number", 1);
  await server.forgetCalls();
  await send("GET", "number");
  assert.deepEqual(await server.calls(), { ping: 1, get: 1 });
  server.halt();
  const asked = send("GET", "number");
  await until(() => pool.stats().invalidated > 0, "the ping is given up");
  server.go();
  assert.equal(await asked, "1");
});

testEach("an ordinary error costs no connection, and that of a replica costs it alone", async (driver) => {
  const { pool, send } = made(driver);
  await send("SET", "text", "abc");
  await assert.rejects(send("INCR", "text"), /not an integer/);
  assert.equal(pool.stats().opened, 1);
  await server.ask("REPLICAOF", "127.0.0.1", 1);
  await assert.rejects(send("SET", "text", "x"), /READONLY/);
  assert.equal(pool.stats().invalidated, 1);
  await server.ask("REPLICAOF", "NO", "ONE");
  assert.equal(await send("SET", "text", "x"), "OK");
});

testEach("a call of a lease that has ended is refused", async (driver) => {
  const { pool, send } = made(driver);
  const late = await pool.use((client) => client);
  const code = "ERR_POOL_INVALID_REQUEST";
  await assert.rejects(late.set("number", 1), { code });
  await assert.rejects(driver.send(late, "SET", "number", 1), { code });
  assert.throws(() => late.multi(), { code });
  assert.throws(() => driver.end(late), { code });
  assert.equal(await send("GET", "number"), null);
});

testEach("close() leaves no client at the server", async (driver) => {
  const { pool } = made(driver, { poolSize: 3 });
  const { pool: single } = made(driver, { Kind: NullPool });
  await pool.warm(3);
  await single.use((client) => client.incr("number"));
  assert.equal((await server.clients()).length, 3);
  await pool.close();
  await until(async () => (await server.clients()).length === 0, "no client is left");
});

testEach("a server that hangs holds neither close() nor the process longer than driverTimeout", async (driver) => {
  const { pool } = made(driver, { driverTimeout: "200ms" });
  const client = await pool.use((used) => used);
  server.halt();
  const start = performance.now();
  await pool.close();
  assert.ok(performance.now() - start < 2_000);
  server.go();
  await until(async () => (await server.clients()).length === 0, "no client is left");
  assert.ok(client);
});
