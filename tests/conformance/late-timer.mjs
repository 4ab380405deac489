// A late timer proves nothing: if the event loop was blocked past the end of a time-out, what has arrived still
// counts. The pool gives the host a grace, at most 50 ms, and one turn of its loop. Then it judges.

import { expect } from "chai";
import { gate, never, rejection, rejectionTime, scriptedPool, settled, stateOf } from "./scripted.mjs";

/** A clock whose loop may be blocked: time passes, and no timer rings. */
function blockableClock() {
  const timers = new Map();
  const clock = {
    now: 1_000,
    due: timers,
    forPool: {
      now: () => clock.now,
      setTimeout: (run, ms) => (timers.set(run, clock.now + ms), run),
      clearTimeout: (run) => void timers.delete(run),
    },
    block: (ms) => void (clock.now += ms),
    /** Runs each timer that is due, and what it leaves to microtasks. */
    async turn() {
      for (const [run, due] of new Map(timers)) if (due <= clock.now && timers.delete(run)) run();
      await settled();
    },
    /** Lets time pass, timer by timer. */
    async pass(ms) {
      const end = clock.now + ms;
      for (let next; (next = Math.min(...timers.values())) <= end;) {
        clock.now = Math.max(clock.now, next);
        await clock.turn();
      }
      clock.now = end;
    },
  };
  return clock;
}

function blockablePool(options) {
  const clock = blockableClock();
  return {
    ...scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn: "none", ...options, clock: clock.forPool }),
    clock,
  };
}

export default (test) => {
  test("a waiter is served if its connection comes back right after the block", async () => {
    const { pool, clock } = blockablePool({ timeout: "1s" });
    const lease = await pool.connect();
    const waiter = pool.connect();
    await clock.pass(100);
    clock.block(1_500);
    await clock.turn();
    expect(await stateOf(waiter)).to.equal("pending");
    await lease.close();
    await (await waiter).close();
    expect(pool.stats()).to.include({ timedOut: 0, opened: 1 });
    expect(clock.due.size).to.equal(0);
  });

  test("waiters are served in order, and those for whom nothing comes back are refused", async () => {
    const { pool, clock } = blockablePool({ poolSize: 10, timeout: "1s" });
    const leases = await Promise.all(Array.from({ length: 10 }, () => pool.connect()));
    const served = [];
    const waiters = Array.from({ length: 50 }, (_, number) =>
      pool.connect().then(
        () => served.push(number),
        ({ code }) => code,
      ),
    );
    await clock.pass(100);
    clock.block(1_500);
    await clock.turn();
    await Promise.all(leases.map((lease) => lease.close()));
    await clock.pass(60);
    const answers = await Promise.all(waiters);
    expect(served).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(answers.slice(10)).to.deep.equal(Array(40).fill("ERR_POOL_TIMEOUT"));
  });

  test("a waiter is refused within 50 ms after the block, if nothing comes back", async () => {
    for (const late of [20, 300, 3_600_000]) {
      const { pool, clock } = blockablePool({ timeout: "1s" });
      await pool.connect();
      const noted = rejectionTime(pool.connect(), clock);
      await clock.pass(100);
      clock.block(901 + late);
      const start = clock.now;
      await clock.turn();
      expect(noted.error, `${late} ms late`).to.equal(undefined);
      await clock.pass(60);
      expect(noted.error?.code).to.equal("ERR_POOL_TIMEOUT");
      expect(noted.error.timeoutMs).to.equal(1_000);
      expect(noted.at - start, `${late} ms late`).to.be.at.most(Math.min(late, 50) + 1);
    }
  });

  test("a loop that is always blocked still times out", async () => {
    const { pool, clock } = blockablePool({ timeout: "1s" });
    await pool.connect();
    const noted = rejectionTime(pool.connect(), clock);
    for (let turn = 0; turn < 5; turn++) {
      clock.block(700);
      await clock.turn();
    }
    expect(noted.error?.code).to.equal("ERR_POOL_TIMEOUT");
  });

  test("a call during the block, or right after it, refuses no waiter", async () => {
    const { pool, clock } = blockablePool({ timeout: "1s" });
    const lease = await pool.connect();
    const waiter = pool.connect();
    await clock.pass(100);
    clock.block(1_500);
    // Each asks for a tick: the timer that runs is too long for its time.
    const others = ["1ms", "10ms"].map((timeout) => pool.connect({ timeout }));
    void Promise.allSettled(others);
    await settled();
    expect(await stateOf(waiter)).to.equal("pending");
    await lease.close();
    await (await waiter).close();
  });

  test("an opening, a ping, a listener and a reset whose answer comes right after the block are in time", async () => {
    const opening = blockablePool({ driverTimeout: "400ms" });
    const opens = gate();
    opening.server.script.open = () => opens.promise;
    const opened = opening.pool.connect();
    opening.clock.block(600);
    await opening.clock.turn();
    opens.open();
    expect((await opened).isValid).to.equal(true);

    const answers = gate();
    const pinging = blockablePool({
      poolSize: 4,
      prePing: true,
      pingTimeout: "400ms",
      dialect: { doPing: () => answers.promise },
    });
    await pinging.pool.warm(4);
    const pinged = pinging.pool.connect();
    pinging.clock.block(600);
    await pinging.clock.turn();
    answers.open(true);
    await pinged;
    await Promise.all([pinging.pool.connect(), pinging.pool.connect(), pinging.pool.connect()]);
    expect(pinging.pool.stats()).to.include({ opened: 4, invalidated: 0 });

    const listens = gate();
    const listening = blockablePool({ driverTimeout: "400ms", events: { checkout: () => listens.promise } });
    const shown = listening.pool.connect();
    await settled();
    listening.clock.block(600);
    await listening.clock.turn();
    listens.open();
    expect((await shown).isValid).to.equal(true);

    const rolls = gate();
    const resetting = blockablePool({ driverTimeout: "400ms", resetOnReturn: "rollback" });
    resetting.server.script.rollback = () => rolls.promise;
    const closed = (await resetting.pool.connect()).close();
    resetting.clock.block(600);
    await resetting.clock.turn();
    rolls.open();
    await closed;
    expect(resetting.pool.stats()).to.include({ idle: 1, invalidated: 0 });
  });

  test("a deadline that passed during the block still gives what has come", async () => {
    const { pool, server, clock } = blockablePool({ deadline: "400ms" });
    const opens = gate();
    server.script.open = () => opens.promise;
    const caller = pool.connect();
    clock.block(600);
    await clock.turn();
    opens.open();
    expect((await caller).isValid).to.equal(true);
  });

  test("a caller that goes on with what came back gets none that has grown too old meanwhile", async () => {
    const { pool, server, clock } = blockablePool({ poolSize: 2, recycle: "1s" });
    pool.on("checkout", () => {});
    const lease = await pool.connect();
    server.script.open = () => (server.connections.length === 1 ? never() : undefined);
    const waiting = pool.connect();
    await clock.pass(900);
    server.script.open = undefined;
    void lease.close();
    clock.block(500);
    const { connection } = await waiting;
    expect([connection.id, server.calls.at(-2)]).to.deep.equal([2, "terminate 1"]);
    await pool.close({ timeout: 0 });
  });

  test("a connection that came too late is closed once, also if its close takes too long in one go", async () => {
    const { pool, server, clock } = blockablePool({ driverTimeout: "1s" });
    const opens = gate();
    server.script.open = () => opens.promise;
    const aborts = new AbortController();
    const left = rejection(pool.connect({ signal: aborts.signal }));
    aborts.abort();
    await left;
    await clock.pass(1_100);
    const closes = gate();
    server.script.open = never;
    server.script.close = () => {
      // A driver that lets the event loop run while it is called.
      void rejection(pool.connect());
      for (let round = 0; round < 4; round++) {
        clock.block(3_000);
        for (const run of clock.due.keys()) if (clock.due.delete(run)) run();
      }
      return closes.promise;
    };
    opens.open();
    await settled();
    expect(server.calls.filter((call) => call === "close 1")).to.have.length(1);
    closes.open();
  });
};
