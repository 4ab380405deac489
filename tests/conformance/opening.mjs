// A caller that waits for an opening is also served by a connection that comes back. The opening goes on for the pool.

import { expect } from "chai";
import { connects, expectSound, gate, never, pass, rejection, scriptedPool, settled, stateOf } from "./scripted.mjs";

/** A pool with one lease out, and a creator that answers when the test lets it. */
async function hangingPool(options = {}) {
  const context = scriptedPool({ poolSize: 5, maxOverflow: 0, resetOnReturn: "none", ...options });
  const [lease] = await connects(context.pool, 1);
  const openings = [];
  context.server.script.open = () => {
    const opening = gate();
    openings.push(opening);
    return opening.promise;
  };
  return { ...context, lease, openings };
}

/** A signal that runs this when the pool listens to it. */
function scriptedSignal(onListen) {
  const controller = new AbortController();
  const { signal } = controller;
  const listen = signal.addEventListener.bind(signal);
  Object.defineProperty(signal, "addEventListener", {
    value: (...parameters) => {
      void onListen();
      listen(...parameters);
    },
  });
  return { signal, abort: (reason) => controller.abort(reason) };
}

export default (test) => {
  test("a connection that comes back serves the caller of an opening, in the same turn", async () => {
    const context = await hangingPool();
    const { pool, lease, openings } = context;
    const caller = pool.connect();
    await settled();
    const arrived = caller.then((served) => served.connection.id);
    void lease.close();
    expect(await arrived).to.equal(1);
    expect(pool.stats()).to.include({ used: 1, idle: 0, opening: 1 });
    openings[0].open();
    await settled();
    expect(pool.stats()).to.include({ used: 1, idle: 1, opening: 0 });
    await (await caller).close();
    await expectSound(context);
  });

  test("callers of openings are served in the order in which they came, before the waiters", async () => {
    const { pool, lease } = await hangingPool({ poolSize: 3 });
    const callers = [pool.connect(), pool.connect(), pool.connect()];
    let next = lease;
    for (const caller of callers) {
      await next.close();
      next = await caller;
      expect(next.connection.id).to.equal(1);
    }
  });

  test("an error of the creator reaches its own caller, and `error` listeners if that one was served", async () => {
    const { pool, lease, openings } = await hangingPool();
    const reported = [];
    pool.on("error", (error, { operation }) => reported.push([operation, error.message]));
    const served = pool.connect();
    const failing = pool.connect();
    await settled();
    await lease.close();
    await served;
    openings[1].fail(new Error("second"));
    expect((await rejection(failing)).message).to.equal("second");
    expect(reported).to.deep.equal([]);
    openings[0].fail(new Error("first"));
    await settled();
    expect(reported).to.deep.equal([["open", "first"]]);
  });

  test("what comes back is shown to the checkout listeners for the caller, whose opening goes on", async () => {
    const context = await hangingPool();
    const { pool, lease, openings } = context;
    const shown = [];
    pool.on("checkout", async ({ id }) => {
      await undefined;
      shown.push(id);
    });
    const caller = pool.connect();
    await settled();
    await lease.close();
    expect((await caller).connection.id).to.equal(1);
    expect(shown).to.deep.equal([1]);
    openings[0].open();
    await settled();
    expect(pool.stats()).to.include({ used: 1, idle: 1 });
    await (await caller).close();
    await expectSound(context);
  });

  test("a caller that goes on with what came back keeps its signal and its deadline", async () => {
    for (const how of ["signal", "deadline"]) {
      const context = await hangingPool();
      const { pool, lease, clock, openings } = context;
      pool.on("checkout", never);
      const controller = new AbortController();
      const caller = rejection(pool.connect({ signal: controller.signal, deadline: "1s" }));
      await settled();
      await lease.close();
      await settled();
      if (how === "signal") controller.abort(new Error("enough"));
      else await pass(clock, 1100);
      const error = await caller;
      expect(how === "signal" ? error.message : error.code).to.equal(how === "signal" ? "enough" : "ERR_POOL_TIMEOUT");
      pool.off("checkout", never);
      openings[0].open();
      await settled();
      expect(pool.stats()).to.include({ used: 0, opening: 0, waiting: 0 });
    }
  });

  test("a lease that the creator itself gives back serves the caller of that creator", async () => {
    for (const isAsync of [false, true]) {
      const { pool, server } = scriptedPool({ poolSize: 2, maxOverflow: 0 });
      const lease = await pool.connect();
      server.script.open = () => {
        void lease.close();
        return isAsync ? Promise.resolve() : undefined;
      };
      expect((await pool.connect()).connection.id).to.equal(1);
      await settled();
      expect(pool.stats()).to.include({ used: 1, idle: 1, opening: 0 });
    }
  });

  test("a signal that brings a connection back while it is listened to still aborts", async () => {
    const { pool, lease } = await hangingPool();
    pool.on("checkout", never);
    const { signal, abort } = scriptedSignal(() => lease.close());
    const caller = rejection(pool.connect({ signal }));
    await settled();
    abort(new Error("enough"));
    expect((await caller).message).to.equal("enough");
    await settled();
    expect(pool.stats()).to.include({ used: 0, waiting: 0 });
  });

  test("a connect listener that hangs binds no caller either", async () => {
    const { pool, server } = scriptedPool({ poolSize: 3, maxOverflow: 0, resetOnReturn: "none" });
    const lease = await pool.connect();
    pool.on("connect", never);
    const caller = pool.connect();
    await settled();
    await lease.close();
    expect((await caller).connection.id).to.equal(1);
    expect(server.connections).to.have.length(2);
  });

  test("a caller whose connection was dead keeps its place while another is opened", async () => {
    const { pool, lease, openings } = await hangingPool();
    let isDead = true;
    pool.on("checkout", (connection) => {
      if (connection.id !== 1 && isDead) {
        isDead = false;
        throw Object.assign(new Error("dead"), { code: "ERR_POOL_DISCONNECTION" });
      }
    });
    const first = pool.connect();
    const second = pool.connect();
    await settled();
    openings[0].open();
    await settled();
    expect(openings).to.have.length(3);
    await lease.close();
    expect((await first).connection.id).to.equal(1);
    expect(await stateOf(second)).to.equal("pending");
    for (const opening of openings.slice(1)) opening.open();
    expect((await second).isValid).to.equal(true);
  });
};
