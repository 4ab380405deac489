// What every kind of pool promises, whatever it keeps and shares: the life of one connection under one caller at a
// time.

import { expect } from "chai";
import {
  AssertionPool,
  DisconnectionError,
  InvalidRequestError,
  NullPool,
  Pool,
  PoolClosedError,
  PoolTimeoutError,
  SingletonThreadPool,
  StaticPool,
} from "edgepool";
import { expectSound, gate, never, pass, rejection, rejectionTime, settled, stateOf, thrown } from "./scripted.mjs";
import { expectExtrasRefused, newCalls, pings, scriptedKind, traced } from "./scripted-kind.mjs";

const down = new Error("down");
const gone = new Error("gone");
const enough = new Error("enough");

/** The kinds; `keeps`: whether a returned connection is kept for the next caller. `own`: options that others lack. */
const kinds = {
  NullPool: { Kind: NullPool, keeps: false, own: [] },
  StaticPool: { Kind: StaticPool, keeps: true, own: [] },
  SingletonThreadPool: { Kind: SingletonThreadPool, keeps: true, own: ["poolSize"] },
  AssertionPool: { Kind: AssertionPool, keeps: true, own: ["storeTraceback"] },
};

function thrower(error) {
  throw error;
}

export default (test) => {
  for (const [name, { Kind, keeps, own }] of Object.entries(kinds)) {
    const isNull = name === "NullPool";
    /** Returns what follows a return if connections are not kept. */
    const discarded = (id) => (keeps ? [] : [`on close ${id}`, `close ${id}`]);

    test(`001 ${name}: constructing, disposing and recreating call no creator and keep the class`, async () => {
      let calls = 0;
      for (const Class of [Kind, class extends Kind {}]) {
        const pool = new Class(() => (calls++, thrower(down)));
        expect(pool).to.be.instanceOf(Pool);
        await pool.dispose();
        const again = pool.recreate();
        expect(again).to.be.instanceOf(Class).and.not.equal(pool);
        expect(again.constructor).to.equal(Class);
        await again.dispose();
      }
      expect(calls).to.equal(0);
    });

    test(`002 ${name}: after a use, dispose() and recreate() call no creator either`, async () => {
      const { pool, server } = scriptedKind(Kind);
      await (await pool.connect()).close();
      server.script.open = () => thrower(down);
      await pool.dispose();
      await pool.recreate().dispose();
      await settled();
      expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
    });

    test(`005 ${name}: recreate() carries ping, reset, age, name, dialect and echo`, async () => {
      const asked = [];
      const dialect = { ...pings, inTransaction: (connection) => void asked.push(connection.id) };
      const { pool, server, clock, log } = scriptedKind(Kind, {
        prePing: true,
        resetOnReturn: "commit",
        recycle: 30,
        loggingName: "orders",
        dialect,
        echo: "debug",
      });
      const again = pool.recreate();
      expect([again.loggingName, again.echo]).to.deep.equal(["orders", "debug"]);
      await (await again.connect()).close();
      await (await again.connect()).close();
      expect(server.calls).to.deep.equal(
        keeps
          ? ["open", "commit 1", "ping 1", "commit 1"]
          : ["open", "commit 1", "close 1", "open", "commit 2", "close 2"],
      );
      server.calls.length = 0;
      await pass(clock, 31_000);
      await (await again.connect()).close();
      expect(server.calls, "the age").to.deep.equal(
        keeps ? ["terminate 1", "open", "commit 2"] : ["open", "commit 3", "close 3"],
      );
      expect(log.of("debug").length, "in the same log").to.be.above(0);
    });

    test(`007 ${name}: recreate() has the same creator, and shares nothing else with the old pool`, async () => {
      const { pool, server } = scriptedKind(Kind);
      const lease = await pool.connect();
      const again = pool.recreate();
      expect(again.stats()).to.include({ total: 0, opened: 0, checkouts: 0 });
      const other = await again.connect();
      expect(other.connection).to.equal(server.connections[1]);
      void other.close();
      await again.close();
      expect([pool.closed, again.closed]).to.deep.equal([false, true]);
      expect(server.connections.map(({ closed }) => closed)).to.deep.equal([0, 1]);
      await lease.close();
    });

    test(`${name}: recreate() takes the listeners of that moment; later changes stay on their side`, async () => {
      const { pool } = scriptedKind(Kind);
      const heard = [];
      const remove = pool.on("checkout", () => heard.push("both"));
      const again = pool.recreate();
      pool.on("checkout", () => heard.push("old"));
      again.on("checkout", () => heard.push("new"));
      remove();
      await (await pool.connect()).close();
      expect(heard.splice(0)).to.deep.equal(["old"]);
      await (await again.connect()).close();
      expect(heard).to.deep.equal(["both", "new"]);
    });

    test(`011 ${name}: an option of another kind is refused by its name`, async () => {
      expectExtrasRefused(Kind, name, own);
    });

    test(`141 ${name}: connect, close, dispose, recreate, connect, close call the driver as they should`, async () => {
      const calls = [];
      const dialect = { doRollback: () => calls.push("R"), doClose: () => calls.push("CL") };
      const { pool } = scriptedKind(Kind, { dialect });
      await (await pool.connect()).close();
      await pool.dispose();
      await (await pool.recreate().connect()).close();
      expect(calls).to.deep.equal(keeps ? ["R", "CL", "R"] : ["R", "CL", "R", "CL"]);
    });

    test(`${name}: the events of a first use, of a return and of the next use come in order`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      const lease = await pool.connect();
      expect(newCalls(context)).to.deep.equal(["open", "on firstConnect 1", "on connect 1", "on checkout 1"]);
      await lease.close();
      expect(newCalls(context)).to.deep.equal(["on reset 1", "rollback 1", "on checkin 1", ...discarded(1)]);
      await (await pool.connect()).close();
      expect(newCalls(context)).to.deep.equal(
        keeps
          ? ["on checkout 1", "on reset 1", "rollback 1", "on checkin 1"]
          : [
              "open",
              "on connect 2",
              "on checkout 2",
              "on reset 2",
              "rollback 2",
              "on checkin 2",
              "on close 2",
              "close 2",
            ],
      );
      await expectSound(context);
    });

    test(`${name}: a creator's error comes out as it is, emits nothing, and the next caller is served`, async () => {
      for (const open of [() => thrower(down), () => Promise.reject(down)]) {
        const context = traced(scriptedKind(Kind));
        const { pool, server } = context;
        server.script.open = open;
        expect(await rejection(pool.connect())).to.equal(down);
        expect(newCalls(context)).to.deep.equal(["open"]);
        expect(pool.stats()).to.include({ total: 0, opening: 0, openFailed: 1 });
        server.script = {};
        await (await pool.connect()).close();
        await expectSound(context);
      }
    });

    test(`${name}: a connect listener that fails rejects connect(); the connection is terminated`, async () => {
      for (const event of ["firstConnect", "connect"]) {
        const context = scriptedKind(Kind);
        const { pool } = context;
        pool.on(event, () => thrower(down), { once: true });
        traced(context);
        expect(await rejection(pool.connect()), event).to.equal(down);
        expect(newCalls(context), event).to.deep.equal(
          event === "connect" ? ["open", "on firstConnect 1", "terminate 1"] : ["open", "terminate 1"],
        );
        expect(pool.stats(), event).to.include({ total: 0, used: 0 });
        await (await pool.connect()).close();
        await expectSound(context, event);
      }
    });

    test(`${name}: a checkout listener that fails rejects connect() and ends the connection`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      pool.on("checkout", () => Promise.reject(down), { once: true });
      expect(await rejection(pool.connect())).to.equal(down);
      expect(newCalls(context).slice(3)).to.deep.equal([
        "on checkout 1",
        "on invalidate 1",
        "on close 1",
        "terminate 1",
        "on checkin null",
      ]);
      const lease = await pool.connect();
      expect(lease.connection.id).to.equal(2);
      await lease.close();
      await expectSound(context);
    });

    test(`${isNull ? "217 " : ""}${name}: a DisconnectionError opens another in the same record`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      const records = [];
      pool.on("checkout", (connection, record) => {
        records.push(record);
        if (connection.id === 1) throw new DisconnectionError("dead");
      });
      const lease = await pool.connect();
      expect(lease.connection.id).to.equal(2);
      expect(records).to.deep.equal([lease.record, lease.record]);
      expect(newCalls(context).slice(3)).to.deep.equal([
        "on checkout 1",
        "on invalidate 1",
        "on close 1",
        "terminate 1",
        "open",
        "on connect 2",
        "on checkout 2",
      ]);
      await lease.close();
      await expectSound(context);
    });

    test(`${name}: after the second DisconnectionError a third connection is discarded`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool, server } = context;
      const thrownErrors = [];
      const remove = pool.on("checkout", () => {
        thrownErrors.push(new DisconnectionError("dead"));
        throw thrownErrors.at(-1);
      });
      const error = await rejection(pool.connect());
      expect(error).to.be.instanceOf(InvalidRequestError);
      expect(thrownErrors).to.have.length(2);
      expect(error.cause).to.equal(thrownErrors[1]);
      expect(newCalls(context).slice(-5)).to.deep.equal([
        "on connect 3",
        "on invalidate 3",
        "on close 3",
        "terminate 3",
        "on checkin null",
      ]);
      expect(server.live).to.equal(0);
      remove();
      await expectSound(context);
    });

    test(`${name}: a hard invalidation ends lease and connection; the next caller has another`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      let reason;
      pool.on("invalidate", (_connection, _record, error) => (reason = error));
      const lease = await pool.connect();
      newCalls(context);
      await lease.invalidate(gone);
      expect(newCalls(context)).to.deep.equal(["on invalidate 1", "on close 1", "terminate 1", "on checkin null"]);
      expect(reason).to.equal(gone);
      expect([lease.isValid, lease.isDetached, lease.record]).to.deep.equal([false, true, null]);
      expect(pool.stats()).to.include({ used: 0, total: 0, invalidated: 1 });
      expect((await pool.connect()).connection.id).to.equal(2);
    });

    test(`${name}: a soft invalidation lets the lease go on; the next caller has another connection`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      const lease = await pool.connect();
      newCalls(context);
      await lease.invalidate(undefined, { soft: true });
      expect(newCalls(context)).to.deep.equal(["on softInvalidate 1"]);
      expect([lease.isValid, lease.connection.closed]).to.deep.equal([true, 0]);
      await lease.close();
      const next = await pool.connect();
      expect(next.connection.id).to.equal(2);
      const calls = newCalls(context);
      expect(calls.slice(0, 3)).to.deep.equal(["on reset 1", "rollback 1", "on checkin 1"]);
      // Where it is shared the last lease may end it; elsewhere the next checkout does.
      expect(calls.filter((call) => /^on close|^close|^terminate/.test(call))).to.have.length(2);
      if (isNull) expect(calls.slice(3, 5)).to.deep.equal(["on close 1", "close 1"]);
      if (name === "AssertionPool") expect(calls.slice(3, 5)).to.deep.equal(["on close 1", "terminate 1"]);
      expect(calls.slice(5)).to.deep.equal(["open", "on connect 2", "on checkout 2"]);
      await next.close();
      await expectSound(context);
    });

    test(`${name}: after invalidateAll() a lease goes on, and the next caller has another connection`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const lease = await pool.connect();
      pool.invalidateAll();
      expect([lease.isValid, lease.connection.closed]).to.deep.equal([true, 0]);
      await lease.close();
      const next = await pool.connect();
      expect(next.connection.id).to.equal(2);
      expect(server.connections[0].closed).to.equal(1);
      await next.close();
      await expectSound(context);
    });

    test(`${name}: a detached connection is closed by its holder; the next caller has another`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      const lease = await pool.connect();
      newCalls(context);
      await lease.detach();
      expect(newCalls(context)).to.deep.equal(["on detach 1"]);
      expect([lease.isValid, lease.isDetached, lease.record, lease.connection.id]).to.deep.equal([true, true, null, 1]);
      expect(pool.stats()).to.include({ used: 0, total: 0, detached: 1 });
      const next = await pool.connect();
      expect(next.connection.id).to.equal(2);
      newCalls(context);
      await lease.close();
      expect(newCalls(context)).to.deep.equal([
        "on reset 1 terminateOnly",
        "rollback 1",
        "on closeDetached 1",
        "close 1",
      ]);
      expect(next.isValid).to.equal(true);
      await next.close();
      await expectSound(context);
    });

    test(`${name}: a reset that fails costs the connection, not the return`, async () => {
      for (const fail of ["rollback", "listener"]) {
        const context = traced(scriptedKind(Kind));
        const { pool, server, log } = context;
        const lease = await pool.connect();
        newCalls(context);
        if (fail === "rollback") server.script.rollback = () => Promise.reject(gone);
        else pool.on("reset", () => thrower(gone), { once: true });
        await lease.close();
        const seen = newCalls(context).filter((call) => call !== "rollback 1");
        expect(seen, fail).to.deep.equal([
          "on reset 1",
          `on error ${fail === "rollback" ? "reset" : "listener"}`,
          "on invalidate 1",
          "on close 1",
          "terminate 1",
          "on checkin null",
        ]);
        expect(log.errors, fail).to.deep.equal([gone]);
        server.script = {};
        expect(await pool.use(({ id }) => id), fail).to.equal(2);
        await expectSound(context, fail);
      }
    });

    test(`${name}: a reset that hangs is given driverTimeout`, async () => {
      const context = scriptedKind(Kind, { driverTimeout: "5s", returnTimeout: null });
      const { pool, server, clock } = context;
      const lease = await pool.connect();
      server.script.rollback = never;
      const closed = lease.close();
      await pass(clock, 4_000);
      expect(await stateOf(closed)).to.equal("pending");
      await pass(clock, 2_000);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect(server.connections[0].closed).to.equal(1);
      await expectSound(context);
    });

    test(`${name}: resetOnReturn "commit", "none" and transactionWasReset are heeded`, async () => {
      const ends = [
        ["commit", undefined, ["commit 1"]],
        ["none", undefined, []],
        ["rollback", { transactionWasReset: true }, []],
        ["commit", { transactionWasReset: true }, ["commit 1"]],
      ];
      for (const [resetOnReturn, options, calls] of ends) {
        const { pool, server } = scriptedKind(Kind, { resetOnReturn });
        const states = [];
        pool.on("reset", (_connection, _record, state) => states.push({ ...state }));
        await (await pool.connect()).close(options);
        const note = `${resetOnReturn} ${JSON.stringify(options)}`;
        expect(
          server.calls.filter((call) => !/open|close/.test(call)),
          note,
        ).to.deep.equal(calls);
        expect(states, note).to.deep.equal([
          { transactionWasReset: options !== undefined, terminateOnly: false, asyncioSafe: true },
        ]);
      }
    });

    test(`${name}: finalizers run once, at the next return, newest first, before checkin`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool, server } = context;
      const lease = await pool.connect();
      lease.record.finalize((connection) => server.calls.push(`first ${connection.id}`));
      lease.record.finalize((connection) => server.calls.push(`second ${connection.id}`));
      newCalls(context);
      await lease.close();
      expect(newCalls(context).slice(0, 5)).to.deep.equal([
        "on reset 1",
        "rollback 1",
        "second 1",
        "first 1",
        "on checkin 1",
      ]);
      await (await pool.connect()).close();
      expect(newCalls(context).some((call) => /first|second/.test(call))).to.equal(false);
    });

    test(`${name}: record.invalidate() and record.close() under a lease end its connection at once`, async () => {
      for (const end of ["invalidate", "close"]) {
        const context = traced(scriptedKind(Kind));
        const { pool } = context;
        const lease = await pool.connect();
        const { record } = lease;
        newCalls(context);
        await record[end]();
        expect(newCalls(context), end).to.deep.equal(
          end === "close" ? ["on close 1", "close 1"] : ["on invalidate 1", "on close 1", "terminate 1"],
        );
        expect([record.connection, lease.isValid, lease.connection.id], end).to.deep.equal([null, true, 1]);
        await lease.close();
        expect(newCalls(context), end).to.deep.equal(["on reset 1", "rollback 1", "on checkin null"]);
        expect(await pool.use(({ id }) => id), end).to.equal(2);
        await expectSound(context, end);
      }
    });

    test(`${name}: close() again returns the same promise and resets nothing`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const reset = gate();
      server.script.rollback = () => reset.promise;
      const lease = await pool.connect();
      const closed = lease.close();
      expect([lease.isValid, lease.isDetached, lease.record]).to.deep.equal([false, true, null]);
      expect(thrown(() => lease.connection)).to.be.instanceOf(InvalidRequestError);
      expect(lease.close()).to.equal(closed);
      reset.open();
      await closed;
      expect(lease.close()).to.equal(closed);
      expect(server.calls.filter((call) => call === "rollback 1")).to.have.length(1);
      await expectSound(context);
    });

    test(`${name}: use() returns or throws what its function does, and returns the connection`, async () => {
      const context = scriptedKind(Kind, { dialect: { isDisconnect: (error) => error === gone } });
      const { pool, server } = context;
      expect(await pool.use((connection, lease) => [connection.id, lease.connection.id])).to.deep.equal([1, 1]);
      expect(await rejection(pool.use(() => Promise.reject(down)))).to.equal(down);
      expect(pool.stats()).to.include({ used: 0, invalidated: 0 });
      expect(await rejection(pool.use(() => thrower(gone)))).to.equal(gone);
      expect(pool.stats()).to.include({ used: 0, invalidated: 1 });
      expect(server.live).to.equal(0);
      await expectSound(context);
    });

    test(`${name}: firstConnect fires once, however many connections are opened`, async () => {
      const { pool } = scriptedKind(Kind);
      const heard = [];
      pool.on("firstConnect", ({ id }) => heard.push(`first ${id}`));
      pool.on("connect", ({ id }) => heard.push(`connect ${id}`));
      for (let round = 0; round < 3; round++) await (await pool.connect()).invalidate();
      expect(heard).to.deep.equal(["first 1", "connect 1", "connect 2", "connect 3"]);
    });

    test(`${name}: info ends with its connection; what a return keeps it keeps with its info`, async () => {
      const { pool } = scriptedKind(Kind);
      const lease = await pool.connect();
      expect(lease.info).to.deep.equal({});
      lease.info.own = 1;
      await lease.close();
      const next = await pool.connect();
      expect(next.info).to.deep.equal(keeps ? { own: 1 } : {});
      await next.invalidate();
      expect((await pool.connect()).info).to.deep.equal({});
    });

    test(`${name}: an abort while the connection opens refuses its caller at once, and nothing leaks`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const opening = gate();
      server.script.open = () => opening.promise;
      const controller = new AbortController();
      const caller = rejection(pool.connect({ signal: controller.signal }));
      controller.abort(enough);
      expect(await caller).to.equal(enough);
      expect(pool.stats()).to.include({ aborted: 1, used: 0 });
      opening.open();
      await settled();
      expect(server.live, "kept where connections are kept").to.equal(keeps ? 1 : 0);
      server.script = {};
      expect(await pool.use(({ id }) => id)).to.equal(keeps ? 1 : 2);
      await expectSound(context);
    });

    test(`${name}: a signal that was aborted before rejects and opens nothing`, async () => {
      const { pool, server } = scriptedKind(Kind);
      expect(await rejection(pool.connect({ signal: AbortSignal.abort(enough) }))).to.equal(enough);
      expect(server.calls).to.deep.equal([]);
      expect(pool.stats().total).to.equal(0);
    });

    test(`${name}: deadline and driverTimeout bound the opening`, async () => {
      for (const option of ["deadline", "driverTimeout"]) {
        const context = scriptedKind(Kind, { [option]: "2s" });
        const { pool, server, clock } = context;
        const opening = gate();
        server.script.open = () => opening.promise;
        const noted = rejectionTime(pool.connect(), clock);
        await pass(clock, 2_500);
        expect(noted.error, option).to.be.instanceOf(PoolTimeoutError);
        expect(noted.error, option).to.include({ step: "open", timeoutMs: 2_000 });
        expect(noted.at, option).to.be.within(2_000, 2_125);
        opening.open();
        await settled();
        expect(server.closedTwice, option).to.equal(0);
        await expectSound(context, option);
      }
    });

    test(`${name}: dispose() leaves a lease alone; its connection is closed at its return, once`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const lease = await pool.connect();
      await pool.dispose();
      await pool.dispose();
      expect([lease.isValid, lease.connection.closed]).to.deep.equal([true, 0]);
      await lease.close();
      expect(server.connections[0].closed).to.equal(1);
      expect(await pool.use(({ id }) => id)).to.equal(2);
      await expectSound(context);
    });

    test(`${name}: close() waits for the lease, refuses later callers, and closes at its return`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool, server } = context;
      const lease = await pool.connect();
      newCalls(context);
      const closed = pool.close();
      expect(pool.closed).to.equal(true);
      expect(await rejection(pool.connect())).to.be.instanceOf(PoolClosedError);
      expect([await stateOf(closed), lease.isValid]).to.deep.equal(["pending", true]);
      await lease.close();
      await closed;
      expect(newCalls(context)).to.deep.equal(["on reset 1", "rollback 1", "on checkin 1", "on close 1", "close 1"]);
      expect(server.connections).to.have.length(1);
      await expectSound(context);
    });

    test(`${name}: a lease that is not back within close()'s timeout is terminated, once`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server, clock } = context;
      const lease = await pool.connect();
      const closed = pool.close({ timeout: "2s" });
      await pass(clock, 1_900);
      expect(server.connections[0].closed).to.equal(0);
      await pass(clock, 1_000);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect(server.calls.slice(1)).to.deep.equal(["terminate 1"]);
      await lease.close();
      expect(server.connections[0].closed).to.equal(1);
      await expectSound(context);
    });

    test(`${name}: close() ends what an opening still brings`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const opening = gate();
      server.script.open = () => opening.promise;
      const caller = rejection(pool.connect());
      const closed = pool.close();
      expect(await caller).to.be.instanceOf(PoolClosedError);
      opening.open();
      await closed;
      await settled();
      expect([server.connections.length, server.live]).to.deep.equal([1, 0]);
      await expectSound(context);
    });

    test(`${name}: status() is one line`, async () => {
      const { pool } = scriptedKind(Kind);
      const lease = await pool.connect();
      expect(pool.status())
        .to.be.a("string")
        .and.to.match(/^[^\n]+$/);
      await lease.close();
      expect(pool.status()).to.match(/^[^\n]+$/);
    });

    test(`${name}: a scope that ends closes the lease, and with it the pool`, async () => {
      const { pool, server } = scriptedKind(Kind);
      const lease = await pool.connect();
      await lease[Symbol.asyncDispose]();
      expect([lease.isValid, pool.stats().used]).to.deep.equal([false, 0]);
      await pool[Symbol.asyncDispose]();
      expect([pool.closed, server.live]).to.deep.equal([true, 0]);
    });

    test(`${name}: prePing without a ping is ${isNull ? "accepted: it never pings" : "refused"}`, async () => {
      const construct = () => new Kind(() => ({ close() {}, rollback() {} }), { prePing: true });
      if (isNull) expect(construct()).to.be.instanceOf(Kind);
      else expect(thrown(construct).message).to.contain("prePing").and.to.contain("doPing");
    });

    if (!keeps) continue;

    test(`${name}: a returned connection is pinged before it is handed out again, a new one is not`, async () => {
      const context = traced(scriptedKind(Kind, { prePing: true, dialect: pings }));
      const { pool, server } = context;
      await (await pool.connect()).close();
      expect(newCalls(context).some((call) => call.startsWith("ping"))).to.equal(false);
      await (await pool.connect()).close();
      expect(newCalls(context).slice(0, 2)).to.deep.equal(["ping 1", "on checkout 1"]);
      server.script.ping = () => false;
      const lease = await pool.connect();
      expect(newCalls(context)).to.deep.equal([
        "ping 1",
        "on invalidate 1",
        "on close 1",
        "terminate 1",
        "open",
        "on connect 2",
        "on checkout 2",
      ]);
      await lease.close();
      await expectSound(context);
    });

    test(`${name}: a returned connection older than recycle is replaced, one of exactly that age is not`, async () => {
      const context = traced(scriptedKind(Kind, { recycle: 30 }));
      const { pool, clock } = context;
      await (await pool.connect()).close();
      await pass(clock, 30_000);
      await (await pool.connect()).close();
      newCalls(context);
      await pass(clock, 1);
      const lease = await pool.connect();
      expect(newCalls(context)).to.deep.equal(["on close 1", "terminate 1", "open", "on connect 2", "on checkout 2"]);
      expect(pool.stats()).to.include({ opened: 2, recycled: 1 });
      await lease.close();
      await expectSound(context);
    });

    test(`${name}: dispose() closes the idle connection politely, once; the next caller has another one`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      await (await pool.connect()).close();
      expect(pool.stats()).to.include({ idle: 1, total: 1 });
      newCalls(context);
      await pool.dispose();
      await pool.dispose();
      expect(newCalls(context)).to.deep.equal(["on close 1", "close 1"]);
      expect(await pool.use(({ id }) => id)).to.equal(2);
      await expectSound(context);
    });

    test(`${name}: what onDisconnect reports of the idle connection, or of one in use, ends it`, async () => {
      const deaths = [];
      const context = traced(
        scriptedKind(Kind, { dialect: { onDisconnect: (_, died) => (deaths.push(died), () => {}) } }),
      );
      const { pool, log } = context;
      await (await pool.connect()).close();
      newCalls(context);
      deaths[0](gone);
      await settled();
      expect(newCalls(context)).to.deep.equal(["on invalidate 1", "on close 1", "terminate 1"]);
      expect(log.lines).to.deep.equal([]);
      const lease = await pool.connect();
      expect(lease.connection.id).to.equal(2);
      newCalls(context);
      deaths[1](gone);
      await settled();
      const calls = newCalls(context);
      const ends = ["on error disconnect", "on invalidate 2", "on close 2", "terminate 2"];
      expect(calls.slice(0, ends.length)).to.deep.equal(ends);
      expect(await pool.use(({ id }) => id), "before its holder has returned it").to.equal(3);
      newCalls(context);
      await lease.close();
      expect(newCalls(context).filter((call) => call !== "on checkin null")).to.deep.equal([]);
      await expectSound(context);
    });
  }
};
