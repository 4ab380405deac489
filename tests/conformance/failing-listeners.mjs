// A listener that always fails, and a meter that does, at every event of every kind of pool: the caller may be refused,
// but no slot and no connection is lost, and the pool works once the listener is gone.

import { AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import { attachMeter } from "edgepool/otel";
import { scriptedMeter } from "./metered.mjs";
import { eventNames, pings, scriptedKind } from "./scripted-kind.mjs";
import { expectSound, pass } from "./scripted.mjs";

const failure = new Error("the listener failed");

const failures = {
  throws: () => {
    throw failure;
  },
  rejects: () => Promise.reject(failure),
};

/** Every way of a lease through a pool. Callers may be refused. */
const ways = [
  (lease) => lease.close(),
  (lease) => lease.invalidate(new Error("mine")),
  (lease) => lease.invalidate(new Error("mine"), { soft: true }).then(() => lease.close()),
  (lease) => lease.detach().then(() => lease.close()),
  (lease) => lease.record?.invalidate().then(() => lease.close()),
  (lease) => lease.record?.close().then(() => lease.close()),
];

async function work({ pool, server, clock }) {
  for (const end of ways) {
    const lease = await pool.connect().catch(() => undefined);
    await pass(clock, 20);
    if (lease !== undefined) await end(lease);
    await lease?.close();
  }
  for (const call of ["open", "ping", "rollback", "close"]) {
    server.script[call] = failures.throws;
    await pool.use(() => {}).catch(() => {});
    server.script = {};
  }
  await pool.dispose();
  await pass(clock, 100);
}

export default (test) => {
  for (const Kind of [QueuePool, NullPool, SingletonThreadPool, StaticPool, AssertionPool]) {
    for (const [how, fail] of Object.entries(failures)) {
      test(`${Kind.name}: a listener of any event that ${how} costs no slot and no connection`, async () => {
        for (const event of [...eventNames, "held"]) {
          const shares = Kind === SingletonThreadPool || Kind === StaticPool;
          const options = { prePing: true, dialect: pings, ...(!shares && { holdLimit: "10ms" }) };
          const context = scriptedKind(Kind, options);
          const { meter, script } = scriptedMeter();
          script.record = failures.throws;
          const metrics = attachMeter(context.pool, meter);
          const stop = context.pool.on(event, fail);
          await work(context);
          stop();
          metrics.detach();
          await expectSound(context, `${Kind.name} ${event}`);
        }
      });
    }
  }
};
