// prePing: whether a connection that was used before is tested first, what its death does, and how long a ping may
// take.

import { expect } from "chai";
import {
  ArgumentError,
  DisconnectionError,
  InvalidRequestError,
  NullPool,
  PoolTimeoutError,
  QueuePool,
} from "edgepool";
import {
  connects,
  counts,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  rejectionTime,
  settled,
  stateOf,
  thrown,
} from "./scripted.mjs";
import { cycle, leavable, onePool, thrower, tracedPool } from "./tracing.mjs";

const gone = new Error("gone");
const pinging = (options) => onePool({ prePing: true, ...options });
const replaced = ["ping 1", "invalidate 1", "close event 1", "terminate 1", "open", "connect 2", "checkout 2"];
const discarded = ["ping 1", "invalidate 1", "close event 1", "terminate 1", "checkin null"];
const dead = ({ id }) => id !== 1;

export default (test) => {
  test("103 with prePing the first checkout pings nothing, each later one once, before its event", async () => {
    const { pool, server, steps } = pinging();
    await cycle(pool);
    expect(steps()).to.deep.equal([
      "open",
      "firstConnect 1",
      "connect 1",
      "checkout 1",
      "reset 1",
      "rollback 1",
      "checkin 1",
    ]);
    for (let round = 0; round < 3; round++) {
      await cycle(pool);
      expect(steps()).to.deep.equal(["ping 1", "checkout 1", "reset 1", "rollback 1", "checkin 1"]);
    }
    expect(server.connections).to.have.length(1);
  });

  test("without prePing nothing is pinged, whatever prePingAfterIdle says", async () => {
    const { pool, clock, steps } = onePool({ prePingAfterIdle: "1s" });
    await cycle(pool);
    clock.tick(10_000);
    await cycle(pool);
    expect(steps()).not.to.include("ping 1");
  });

  test("a connection that is handed to a waiter is pinged, too", async () => {
    const { pool, steps } = pinging();
    const lease = await pool.connect();
    const waiter = pool.connect();
    steps();
    await lease.close();
    await waiter;
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "checkin 1", "ping 1", "checkout 1"]);
  });

  test("doPing is called as the dialect's method, with the connection alone", async () => {
    const calls = [];
    const dialect = {
      doPing(...given) {
        calls.push([this === dialect, ...given]);
        return true;
      },
    };
    const pool = new QueuePool(() => ({ rollback() {}, close() {} }), { dialect, prePing: true });
    await cycle(pool);
    const lease = await pool.connect();
    expect(calls).to.have.length(1);
    expect(calls[0]).to.have.length(2);
    expect(calls[0][0]).to.equal(true);
    expect(calls[0][1]).to.equal(lease.connection);
    await lease.close();
    await pool.close();
  });

  test("a ping that answers at once costs no microtask", async () => {
    const { pool, steps } = pinging();
    await cycle(pool);
    steps();
    void pool.connect();
    expect(steps()).to.deep.equal(["ping 1", "checkout 1"]);
    expect(pool.stats()).to.include({ used: 1, checkouts: 2 });
  });

  test("105 a connection that is dead is replaced in its slot, and the caller has the new one", async () => {
    const context = pinging();
    const { pool, server, steps, given } = context;
    await cycle(pool);
    const [, record] = given("checkout")[0];
    steps();
    server.script.ping = dead;
    const lease = await pool.connect();
    expect(steps()).to.deep.equal(replaced);
    expect(lease.record).to.equal(record);
    expect(lease.connection.id).to.equal(2);
    const [connection, of, error] = given("invalidate")[0];
    expect([connection, of]).to.have.ordered.members([server.connections[0], record]);
    expect(error).to.be.instanceOf(DisconnectionError);
    expect(error.code).to.equal("ERR_POOL_DISCONNECTION");
    expect(error.cause).to.equal(undefined);
    expect(pool.stats()).to.include({ invalidated: 1, opened: 2, recycled: 0 });
    await lease.close();
    await expectSound(context);
  });

  test("a ping may answer later: true or false", async () => {
    for (const alive of [true, false]) {
      const { pool, server, steps } = pinging();
      await cycle(pool);
      steps();
      const answer = gate();
      server.script.ping = () => answer.promise;
      const caller = pool.connect();
      expect(await stateOf(caller)).to.equal("pending");
      expect(steps()).to.deep.equal(["ping 1"]);
      answer.open(alive);
      expect((await caller).connection.id).to.equal(alive ? 1 : 2);
    }
  });

  test("106 an error of the ping that isDisconnect recognises counts as dead, and is the cause", async () => {
    for (const fail of [thrower(gone), () => Promise.reject(gone)]) {
      const asked = [];
      const context = pinging({ dialect: { isDisconnect: (...given) => (asked.push(given), true) } });
      const { pool, server, steps, given } = context;
      await cycle(pool);
      steps();
      server.script.ping = fail;
      const lease = await pool.connect();
      expect(steps()).to.deep.equal(replaced);
      expect(asked).to.deep.equal([[gone, server.connections[0]]]);
      const error = given("invalidate")[0][2];
      expect(error).to.be.instanceOf(DisconnectionError);
      expect(error.cause).to.equal(gone);
      await lease.close();
      await expectSound(context);
    }
  });

  test("a DisconnectionError of the ping counts as dead, whatever isDisconnect says", async () => {
    const { pool, server, steps, given } = pinging({ dialect: { isDisconnect: () => false } });
    await cycle(pool);
    steps();
    server.script.ping = thrower(new DisconnectionError("ping"));
    await pool.connect();
    expect(steps()).to.deep.equal(replaced);
    expect(given("invalidate")[0][2]).to.be.instanceOf(DisconnectionError);
  });

  test("107 any other error of the ping rejects connect() as it is", async () => {
    for (const dialect of [{}, { isDisconnect: () => false }]) {
      for (const fail of [thrower(gone), () => Promise.reject(gone)]) {
        const { pool, server } = pinging({ dialect });
        await cycle(pool);
        server.script.ping = fail;
        expect(await rejection(pool.connect())).to.equal(gone);
      }
    }
  });

  test("115 after it the connection is terminated, the slot is back, empty, and the next checkout works", async () => {
    const context = pinging();
    const { pool, server, steps, given } = context;
    await cycle(pool);
    steps();
    server.script.ping = thrower(gone);
    expect(await rejection(pool.connect())).to.equal(gone);
    expect(steps()).to.deep.equal(discarded);
    expect(given("invalidate")[0][2]).to.equal(gone);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("an error of the ping leaves the other connections alone", async () => {
    const { pool, server } = tracedPool({ poolSize: 2, prePing: true });
    for (const lease of await connects(pool, 2)) await lease.close();
    server.script.ping = thrower(gone);
    await rejection(pool.connect());
    server.script = {};
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("110 with the server down the caller has the creator's error, and the slot is back, empty", async () => {
    const { pool, server, steps } = tracedPool({ prePing: true });
    await cycle(pool);
    steps();
    const down = new Error("connection refused");
    server.script.ping = dead;
    server.script.open = thrower(down);
    expect(await rejection(pool.connect())).to.equal(down);
    expect(steps()).to.deep.equal(["ping 1", "invalidate 1", "close event 1", "terminate 1", "open", "checkin null"]);
    expect(counts(pool)).to.deep.equal([5, 1, -4, 0]);
    expect(await rejection(pool.connect())).to.equal(down);
    expect(counts(pool)).to.deep.equal([5, 1, -4, 0]);
  });

  test("111 without prePing a dead connection is found by its user, not by the checkout", async () => {
    const { pool, server, steps } = onePool();
    await cycle(pool);
    steps();
    server.script.open = thrower(gone);
    server.script.ping = thrower(gone);
    expect((await pool.connect()).connection.id).to.equal(1);
    expect(steps()).to.deep.equal(["checkout 1"]);
  });

  test("113 a NullPool never pings, and takes prePing with any dialect", async () => {
    const { pool, steps } = tracedPool({ prePing: true }, NullPool);
    await cycle(pool);
    await cycle(pool);
    expect(steps().filter((step) => step.startsWith("ping"))).to.deep.equal([]);
    const bare = new NullPool(() => ({ rollback() {}, close() {} }), { prePing: true });
    await cycle(bare);
  });

  test("114 a death marks every connection as old: the next one is replaced without a ping", async () => {
    const context = tracedPool({ poolSize: 2, prePing: true });
    const { pool, server, steps } = context;
    for (const lease of await connects(pool, 2)) await lease.close();
    server.script.ping = dead;
    steps();
    const first = await pool.connect();
    expect(steps()).to.deep.equal([
      "ping 1",
      "invalidate 1",
      "close event 1",
      "terminate 1",
      "open",
      "connect 3",
      "checkout 3",
    ]);
    const second = await pool.connect();
    expect(steps()).to.deep.equal(["close event 2", "terminate 2", "open", "connect 4", "checkout 4"]);
    await first.close();
    await second.close();
    steps();
    const third = await pool.connect();
    expect(steps(), "what was opened since is not as old").to.deep.equal(["ping 3", "checkout 3"]);
    await third.close();
    await expectSound(context);
  });

  test("126 when the lease of a replaced connection is closed, only the new connection is reset", async () => {
    const { pool, server, steps } = pinging();
    await cycle(pool);
    server.script.ping = dead;
    const lease = await pool.connect();
    steps();
    await lease.close();
    expect(steps()).to.deep.equal(["reset 2", "rollback 2", "checkin 2"]);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
  });

  test("127 what was idle is never taken for new: it is pinged also at its first checkout", async () => {
    const ways = {
      "by warm()": ({ pool }) => pool.warm(1),
      "by an opening whose caller left": async ({ pool, server }) => {
        const opening = gate();
        server.script.open = () => opening.promise;
        const { caller, leave } = leavable(pool);
        leave();
        await rejection(caller);
        opening.open();
        await settled();
      },
    };
    for (const [way, park] of Object.entries(ways)) {
      const context = pinging();
      const { pool, steps } = context;
      await park(context);
      expect(pool.stats(), way).to.include({ idle: 1, checkouts: 0 });
      expect(steps(), way).not.to.include("ping 1");
      const lease = await pool.connect();
      expect(steps(), way).to.deep.equal(["ping 1", "checkout 1"]);
      await lease.close();
      await expectSound(context, way);
    }
  });

  test("a connection that was replaced for its age is new, and is not pinged", async () => {
    const { pool, clock, steps } = pinging({ recycle: "10s" });
    await cycle(pool);
    clock.tick(10_001);
    steps();
    await pool.connect();
    expect(steps()).to.deep.equal(["close event 1", "terminate 1", "open", "connect 2", "checkout 2"]);
  });

  test("a dead ping is one of two tries: a refusal by a checkout listener after it is the last", async () => {
    const context = pinging();
    const { pool, server, steps } = context;
    await cycle(pool);
    steps();
    const refused = new DisconnectionError("refused");
    server.script.ping = dead;
    server.script.checkout = ({ id }) => {
      if (id === 2) throw refused;
    };
    const error = await rejection(pool.connect());
    expect(error).to.be.instanceOf(InvalidRequestError);
    expect(error.cause).to.equal(refused);
    expect(steps()).to.deep.equal([
      ...replaced,
      "invalidate 2",
      "close event 2",
      "terminate 2",
      "open",
      "connect 3",
      "invalidate 3",
      "close event 3",
      "terminate 3",
      "checkin null",
    ]);
    await expectSound(context);
  });

  test("what replaced a refused connection is not pinged", async () => {
    const { pool, server, steps } = pinging();
    await cycle(pool);
    steps();
    server.script.checkout = ({ id }) => {
      if (id === 1) throw new DisconnectionError("refused");
    };
    await pool.connect();
    expect(steps()).to.deep.equal([
      "ping 1",
      "checkout 1",
      "invalidate 1",
      "close event 1",
      "terminate 1",
      "open",
      "connect 2",
      "checkout 2",
    ]);
  });

  test("prePing is refused at construction where the dialect cannot ping", () => {
    for (const dialect of [undefined, {}, { doPing: undefined }]) {
      const error = thrown(() => new QueuePool(() => ({}), { prePing: true, dialect }));
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.include("prePing").and.to.include("doPing");
    }
    expect(new QueuePool(() => ({}), { prePing: false }).stats().total).to.equal(0);
  });

  test("prePingAfterIdle spares the ping of a connection that was idle for less", async () => {
    const { pool, clock, steps } = pinging({ prePingAfterIdle: "10s" });
    clock.tick(5_000);
    await cycle(pool);
    clock.tick(9_999);
    await cycle(pool);
    expect(steps()).not.to.include("ping 1");
    clock.tick(10_000);
    await cycle(pool);
    expect(steps()).to.include("ping 1");
  });

  test("prePingAfterIdle counts from the return, not from the checkout or the opening", async () => {
    const { pool, clock, steps } = pinging({ prePingAfterIdle: "10s" });
    const lease = await pool.connect();
    clock.tick(60_000);
    await lease.close();
    clock.tick(9_999);
    await pool.connect();
    expect(steps()).not.to.include("ping 1");
  });

  test("a ping that hangs counts as dead after pingTimeout", async () => {
    for (const [pingTimeout, ms] of [
      [undefined, 5_000],
      ["1s", 1_000],
    ]) {
      const context = pinging({ pingTimeout });
      const { pool, server, clock, steps, given } = context;
      await cycle(pool);
      steps();
      server.script.ping = never;
      const caller = pool.connect();
      await pass(clock, ms - 1);
      expect(await stateOf(caller)).to.equal("pending");
      await pass(clock, Math.ceil(ms / 16) + 1);
      expect((await caller).connection.id).to.equal(2);
      expect(steps()).to.deep.equal(replaced);
      expect(given("invalidate")[0][2]).to.be.instanceOf(DisconnectionError);
      await (await caller).close();
      await expectSound(context);
    }
  });

  test("a ping that hangs marks every connection as old, as any death", async () => {
    const { pool, server, clock, steps } = tracedPool({ poolSize: 2, prePing: true });
    for (const lease of await connects(pool, 2)) await lease.close();
    server.script.ping = never;
    const caller = pool.connect();
    await pass(clock, 6_000);
    await caller;
    steps();
    expect((await pool.connect()).connection.id).to.equal(4);
    expect(steps()).to.not.include("ping 2");
  });

  test("pingTimeout null waits without end", async () => {
    const { pool, server, clock } = pinging({ pingTimeout: null });
    await cycle(pool);
    const answer = gate();
    server.script.ping = () => answer.promise;
    const caller = pool.connect();
    await pass(clock, 3_600_000);
    expect(await stateOf(caller)).to.equal("pending");
    answer.open(true);
    expect((await caller).connection.id).to.equal(1);
  });

  test("what a ping answers after its time has ended is ignored", async () => {
    for (const end of ["open", "fail"]) {
      const context = pinging();
      const { pool, server, clock, steps } = context;
      await cycle(pool);
      const answer = gate();
      server.script.ping = () => answer.promise;
      const caller = pool.connect();
      await pass(clock, 6_000);
      const lease = await caller;
      steps();
      answer[end](true);
      await settled();
      expect(steps(), end).to.deep.equal([]);
      await lease.close();
      await expectSound(context, end);
    }
  });

  test("a caller that leaves while a ping runs is refused at once, and the connection is terminated", async () => {
    const context = pinging();
    const { pool, server, steps } = context;
    await cycle(pool);
    steps();
    server.script.ping = never;
    const { error, reason, leave } = leavable(pool);
    leave();
    expect(await error).to.equal(reason);
    await settled();
    expect(steps()).to.deep.equal(discarded);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats()).to.include({ aborted: 1, used: 0 });
    await expectSound(context);
  });

  test("what a ping answers after its caller has left changes nothing more", async () => {
    for (const answerOf of [({ open }) => open(true), ({ open }) => open(false), ({ fail }) => fail(gone)]) {
      const context = pinging();
      const { pool, server, steps } = context;
      await cycle(pool);
      const answer = gate();
      server.script.ping = () => answer.promise;
      const { error, leave } = leavable(pool);
      leave();
      await error;
      await settled();
      steps();
      answerOf(answer);
      await settled();
      expect(steps().filter((step) => step !== "error ping")).to.deep.equal([]);
      await expectSound(context);
    }
  });

  test('a deadline that ends while a ping runs refuses the caller with step "ping"', async () => {
    const context = pinging();
    const { pool, server, clock, steps } = context;
    await cycle(pool);
    steps();
    server.script.ping = never;
    const noted = rejectionTime(
      pool.use(() => {}, { deadline: "1s" }),
      clock,
    );
    await pass(clock, 1_100);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    expect(noted.error).to.include({ step: "ping", timeoutMs: 1000 });
    expect(noted.at).to.be.within(1_000, 1_063);
    expect(steps()).to.deep.equal(discarded);
    expect(pool.stats()).to.include({ timedOut: 1, used: 0 });
    await expectSound(context);
  });

  test("while a ping runs no other caller has the connection", async () => {
    const context = pinging();
    const { pool, server, steps } = context;
    await cycle(pool);
    steps();
    const answer = gate();
    server.script.ping = () => answer.promise;
    const caller = pool.connect();
    const waiter = pool.connect();
    await settled();
    expect(pool.stats()).to.include({ idle: 0, waiting: 1 });
    expect(steps()).to.deep.equal(["ping 1"]);
    answer.open(true);
    await (await caller).close();
    await (await waiter).close();
    await expectSound(context);
  });
};
