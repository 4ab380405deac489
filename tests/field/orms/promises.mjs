// What an ORM, a query builder or an adapter must do on a pool with the members of pg.Pool, on an embedded PostgreSQL.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until, WatchedPostgres } from "../../integration/watched-postgres.mjs";

/**
 * @typedef {object} Consumer
 * @property {string} name of its module in the folder app
 * @property {string} [npm] the name of its package, if that is another
 * @property {string} title
 * @property {boolean} [transacts] whether it has transactions
 * @property {boolean} [streams] whether it has streams
 *
 * @typedef {object} Opened a consumer on its pool
 * @property {any} pool
 * @property {() => PromiseLike<unknown>} makeTable
 * @property {(names: string[]) => PromiseLike<unknown>} insert
 * @property {() => Promise<string[]>} names
 * @property {() => AsyncIterable<unknown>} stream of all rows
 * @property {<T>(work: (tx: Transaction) => Promise<T>) => Promise<T>} transaction
 * @property {() => Promise<unknown>} close closes the consumer and the pool
 *
 * @typedef {{ insert(name: string): PromiseLike<unknown>, pid(): Promise<number> }} Transaction
 */

/** The connections of each pool. */
export const max = 5;

const limit = { timeout: 60_000 };

export const server = new WatchedPostgres();

const series = (name, count) => Array.from({ length: count }, (_, at) => `${name}${at}`);

/**
 * Asserts that as many holders as the pool has connections have one each, at once. A holder passes the process id of
 * its backend to the meeting, and waits for the others there.
 *
 * @param {(meeting: (pid: number) => Promise<number>) => Promise<number>} holder
 */
async function meet(holder) {
  let left = max;
  const { promise, resolve } = Promise.withResolvers();
  const meeting = async (pid) => {
    if (--left === 0) resolve();
    await promise;
    return pid;
  };
  const pids = await Promise.all(Array.from({ length: max }, () => holder(meeting)));
  assert.equal(new Set(pids).size, max);
}

async function borrow(pool, meeting) {
  const client = await pool.connect();
  try {
    return await meeting(client.processID);
  } finally {
    client.release();
  }
}

/** Asserts that all slots of a pool can be used at once. */
export const assertWhole = (pool) => meet((meeting) => borrow(pool, meeting));

/**
 * Defines the tests of one consumer.
 *
 * @param {Consumer} consumer
 * @param {(options: object) => Opened | Promise<Opened>} open
 */
export function testConsumer({ name, title, transacts, streams }, open) {
  describe(title, limit, () => {
    /** @type {Opened} */
    let opened;
    const options = () => ({ ...server.options, database: name, application_name: name, max });

    before(async () => {
      await server.run(`CREATE DATABASE "${name}"`);
      opened = await open(options());
      await opened.makeTable();
    }, limit);

    after(() => opened?.pool.queuePool.closed || opened?.close());

    /** What the table has of these names. */
    const found = async (prefix) => (await opened.names()).filter((name) => name.startsWith(prefix)).sort();

    const assertNothingLeaks = () => server.assertNothingLeaks(opened.pool.queuePool, name);

    async function assertAllSlots({ pool, transaction } = opened, own = name) {
      await meet(
        transacts
          ? (meeting) => transaction(async (tx) => meeting(await tx.pid()))
          : (meeting) => borrow(pool, meeting),
      );
      await server.assertNothingLeaks(pool.queuePool, own);
    }

    test(`${title} makes a table, inserts rows and selects them`, async () => {
      await opened.insert(["ada", "adele"]);
      assert.deepEqual(await found("ad"), ["ada", "adele"]);
      await assertNothingLeaks();
    });

    if (streams) {
      test(`${title} streams its rows, also half of them, and gives the client back`, async () => {
        const names = series("stream", 30);
        await opened.insert(names);
        for (let round = 0; round <= max; round++) {
          let count = 0;
          for await (const _ of opened.stream()) count++;
          assert.ok(count >= names.length);
          for await (const _ of opened.stream()) if (--count < 20) break;
        }
        await assertAllSlots();
      });
    }

    if (transacts) {
      test(`a transaction of ${title} that commits leaves its rows, and one that throws leaves none`, async () => {
        const error = new Error("changed my mind");
        await opened.transaction((tx) => tx.insert("kept"));
        const thrown = opened.transaction(async (tx) => {
          await tx.insert("kept not");
          throw error;
        });
        await assert.rejects(thrown, (reason) => reason === error);
        assert.deepEqual(await found("kept"), ["kept"]);
        await assertNothingLeaks();
      });

      test(`fifty transactions of ${title} over ${max} connections keep theirs, half of them rolled back`, async () => {
        const names = series("fifty", 50);
        const pids = new Set();
        const run = (name, at) =>
          opened.transaction(async (tx) => {
            pids.add(await tx.pid());
            await tx.insert(name);
            if (at % 2 === 1) throw new Error(name);
          });
        const outcomes = await Promise.allSettled(names.map(run));
        const kept = names.filter((_, at) => outcomes[at].status === "fulfilled");
        assert.equal(kept.length, 25);
        assert.deepEqual(await found("fifty"), kept.sort());
        assert.ok(pids.size <= max, `${pids.size} backends`);
        await assertNothingLeaks();
      });

      test(`a backend killed in a transaction of ${title} costs that transaction and no slot`, async () => {
        // Once more than there are slots: a lost one would be missed.
        for (const name of series("killed", max + 1)) {
          const killed = opened.transaction(async (tx) => {
            await tx.insert(name);
            await server.kill(await tx.pid());
            await tx.insert(name);
          });
          await assert.rejects(killed);
        }
        assert.deepEqual(await found("killed"), []);
        await assertAllSlots();
      });
    } else {
      test(`fifty calls of ${title} over ${max} connections lose no row`, async () => {
        const names = series("fifty", 50);
        await Promise.all(names.map((name) => opened.insert([name])));
        assert.deepEqual(await found("fifty"), names.sort());
        assert.ok(opened.pool.queuePool.stats().total <= max);
        await assertNothingLeaks();
      });
    }

    test(`a connection that dies before the first statement of ${title} costs no slot`, async () => {
      for (const name of series("dead", max + 1)) {
        opened.pool.once("acquire", (client) => client.connection.stream.destroy());
        await assert.rejects(transacts ? opened.transaction((tx) => tx.insert(name)) : opened.insert([name]));
      }
      assert.deepEqual(await found("dead"), []);
      await assertAllSlots();
    });

    test(`after the death of all idle backends ${title} has all ${max} connections again`, async () => {
      await assertAllSlots();
      await server.kill(...(await server.backends(name)));
      await until(() => opened.pool.queuePool.stats().total === 0, "the pool has noticed");
      await assertAllSlots();
    });

    test(`with prePing ${title} does not notice the death of all idle backends`, async () => {
      const own = `${name} with prePing`;
      const pinged = await open({ ...options(), application_name: own, edgepool: { prePing: true } });
      try {
        await assertAllSlots(pinged, own);
        await server.kill(...(await server.backends(own)));
        await Promise.all(Array.from({ length: 2 * max }, () => pinged.names()));
        await server.assertNothingLeaks(pinged.pool.queuePool, own);
      } finally {
        await pinged.close();
      }
    });

    test(`the pool ends after all that, and leaves no backend of ${title}`, async () => {
      await opened.close();
      assert.ok(opened.pool.queuePool.closed);
      await server.untilBackends(name, 0);
    });
  });
}
