// edgepool/durable-object in real workerd on a real PostgreSQL, at every compatibility date that the package supports:
// what callers are given, what becomes of a lease however its caller ends, and what the server sees of it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { startPostgres } from "../../../scripts/postgres.mjs";
import { until } from "../watched-postgres.mjs";
import { startWorkerd } from "./workerd.mjs";

const dates = {
  "2024-09-23": ["nodejs_compat"],
  "2024-10-14": ["nodejs_compat"],
  "2025-06-30": ["nodejs_compat"],
  "2026-10-01": [],
};

const classes = {
  DATABASE: "Database",
  NARROW: "Narrow",
  BOUNDED: "Bounded",
  COUNTING: "Counting",
  SLUGGISH: "Sluggish",
  HASTY: "Hasty",
  PIPELINED: "Pipelined",
  BRIEF: "Brief",
  FOREIGN: "Foreign",
  UNTOLD: "Untold",
  ODD: "Odd",
  UNREACHABLE: "Unreachable",
  MISTAKEN: "Mistaken",
};
const entry = fileURLToPath(new URL("durable-object-worker.mjs", import.meta.url));

let postgres;
let admin;

before(async () => {
  postgres = await startPostgres();
  admin = new Client(postgres.options);
  await admin.connect();
});

after(async () => {
  await admin.end();
  await postgres.stop();
});

const run = async (text, values) => (await admin.query(text, values)).rows;

for (const [compatibilityDate, compatibilityFlags] of Object.entries(dates))
  describe(`a pool in a Durable Object, at ${compatibilityDate}`, () => {
    let workerd;
    const ask = async (path, options) => {
      const { status, body } = await workerd.ask(`/${path}`, options);
      return status === 200 ? body : `${status} ${body}`;
    };

    before(async () => {
      await run(`DROP TABLE IF EXISTS marks, people, late, turns;
      CREATE TABLE marks (name text); CREATE TABLE people (name text PRIMARY KEY);
      CREATE TABLE late (number int UNIQUE DEFERRABLE INITIALLY DEFERRED);
      CREATE TABLE turns (place serial, caller int)`);
      const { host, port, user, password, database } = postgres.options;
      const worker = {
        entry,
        compatibilityDate,
        compatibilityFlags,
        vars: { DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}` },
      };
      const elsewhere = Object.fromEntries(
        Object.entries(classes).map(([binding, className]) => [binding, { className, service: "first" }]),
      );
      const workers = {
        first: { ...worker, durableObjects: classes, services: { SELF: "first" } },
        second: { ...worker, durableObjects: elsewhere },
        third: { ...worker, durableObjects: elsewhere },
      };
      workerd = await startWorkerd({ workers });
    });

    after(() => workerd.stop());

    /** The process ids of the backends of one class. */
    const backends = async (name) =>
      (await run("SELECT pid FROM pg_stat_activity WHERE application_name LIKE $1 || '-%' ORDER BY pid", [name])).map(
        ({ pid }) => pid,
      );
    const pidsOf = async (name) =>
      (await run("SELECT pid FROM pg_stat_activity WHERE application_name = $1", [name])).map(({ pid }) => pid);
    const marks = () => run("SELECT name FROM marks ORDER BY name").then((rows) => rows.map(({ name }) => name));
    const nobodyHoldsOne = (on) =>
      until(async () => {
        const { used, waiting, opening } = await ask(`stats?on=${on}`);
        return used + waiting + opening === 0;
      }, `every connection of ${on} is back`);

    test("values arrive as what they are, and values of a driver's own class as plain objects", async () => {
      const { row, isDate, isBytes, rowCount, command, fields } = await ask("types");
      assert.deepEqual(row, {
        number: 7,
        text: "ö'\n",
        date: "1970-01-01T00:00:00.000Z",
        bytes: [1, 255],
        json: { a: [1] },
        nothing: null,
        span: { days: 1, hours: 2 },
        list: [1, 2],
        big: "1152921504606846976",
        point: { x: 1, y: 2 },
      });
      assert.deepEqual(
        { isDate, isBytes, rowCount, command },
        { isDate: true, isBytes: true, rowCount: 1, command: "SELECT" },
      );
      assert.deepEqual(fields.slice(0, 2), [
        { name: "number", dataTypeID: 23 },
        { name: "text", dataTypeID: 25 },
      ]);
    });

    test("a date, JSON, null, bytes and a bigint cross in both directions; a Buffer becomes a Uint8Array", async () => {
      assert.deepEqual(await ask("crosses"), [
        ["Date", "Date", "1970-01-01T00:00:00.000Z"],
        ["Object", "Object", { a: [1, { b: null }] }],
        ["null", "null", null],
        ["Uint8Array", "Uint8Array", [97, 98, 99]],
        ["Uint8Array", "Uint8Array", [1, 255]],
        ["bigint", "bigint", String(2n ** 80n)],
        ["boolean", "boolean", true],
        ["string", "string", "ö"],
        ["number", "number", 1.5],
      ]);
    });

    test("a command has its count; of several statements in one text the last one answers", async () => {
      const { inserted, several, row } = await ask("commands");
      assert.deepEqual(inserted, { rows: [], rowCount: 1, fields: [], command: "INSERT" });
      assert.deepEqual({ several, row }, { several: [{ two: 2 }], row: { three: 3 } });
    });

    test("a named statement is prepared once for each connection, whatever else has its name", async () => {
      const { numbers, prepared } = await ask("named?on=NARROW");
      assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6]);
      assert.deepEqual(
        prepared.map(({ statement }) => statement),
        ["SELECT $1::int AS n", "SELECT $1::int + 1 AS n"],
      );
      assert.equal(prepared[0].name, "one");
      await ask("named?on=NARROW");
      assert.equal((await ask("named?on=NARROW")).prepared.length, 2);
    });

    test("statements of one name run as their texts say, in one batch, too, and however long the name is", async () => {
      assert.deepEqual(await ask("namedAlike?on=NARROW"), {
        inBatch: [1, 2, 1],
        again: [2, 3],
        long: [1, 2, 1],
        odd: [4, 4, 4],
      });
    });

    test("a named statement that the server has lost, or that no longer fits, is prepared again", async () => {
      assert.deepEqual(await ask("preparedAnew?on=NARROW"), {
        first: [1, 1, 1],
        deallocated: [1, 2],
        discarded: [1, 1],
        taken: 1,
        altered: [2, 2, 2],
        again: [2, 2],
        inLease: ["0A000", 2],
        behindItsReset: "0A000",
      });
    });

    test("rows are arrays if that is asked for, and a caller may read the values itself", async () => {
      const { rows, fields, simple, inLease, typed, typedList } = await ask("shapes");
      assert.deepEqual(
        [rows, fields.map(({ name }) => name), simple, inLease],
        [[[1, "two"]], ["a", "a"], [[1, 2]], [1, "two"]],
      );
      const year = String(new Date().getFullYear());
      assert.deepEqual(typed, { a: "25 text x", at: `1184 text ${year}`, nothing: null });
      assert.deepEqual(typedList, ["23 text 1", "25 text x", `1184 text ${year}`, null]);
    });

    for (const soil of ["query", "failure", "open transaction", "batch", "batch without transaction", "lease"])
      test(`the next caller has a session as good as new: after a ${soil}`, async () => {
        const { pid, ...session } = await ask(`soils?on=NARROW&key=${encodeURIComponent(soil)}`);
        assert.deepEqual(session, {
          path: '"$user", public',
          isSelf: true,
          tenant: "",
          isClean: true,
          locks: 0,
          channels: 0,
        });
        assert.deepEqual(await backends("Narrow"), [pid]);
      });

    test("a reset that does not end holds neither its caller nor, for long, the next one", async () => {
      const start = Date.now();
      const { pid } = await ask("next?on=SLUGGISH");
      assert.ok(Date.now() - start < 1000, "the caller waited for the reset");
      assert.notEqual((await ask("next?on=SLUGGISH")).pid, pid);
      assert.ok(Date.now() - start < 5000, `the next caller waited ${Date.now() - start} ms`);
    });

    test("a query is one write and one answer of the server, and so is a batch, each with its reset", async () => {
      const once = { writes: 1, reads: 1 };
      const { untransacted, several, failed, ...rest } = await ask("roundTrips");
      assert.deepEqual(rest, { plain: once, query: once, named: once, batch: once });
      // What a transaction would change, or has failed, is reset by a write of its own.
      assert.deepEqual([untransacted.writes, several.writes, failed.writes], [2, 2, 2]);
    });

    test("a statement that no transaction allows runs alone, and leaves its session reset", async () => {
      assert.deepEqual(await ask("alone"), { vacuum: "VACUUM", called: [{ n: 2 }], tenant: "" });
    });

    test("a session is reset by statements that it has prepared, or by others if a caller drops them", async () => {
      assert.deepEqual(await ask("deallocates"), { count: 7, tenants: ["ann", "", "ann", ""], isSame: true });
    });

    test("a deferred constraint fails its statement at the commit, before the session is reset", async () => {
      const { error, seen, isGone, next } = await ask("deferred");
      assert.deepEqual([error.code, error.message], ["23514", "refused for ann"]);
      assert.deepEqual([seen, isGone, next], ["bob", true, ""]);
    });

    test("what cannot be written, parsed or copied fails alone, and its connection goes on", async () => {
      await run("TRUNCATE marks");
      const { unwritable, unwritableAlone, unwritableNamed, unparsed, ...others } = await ask("unusual?on=NARROW");
      const { copy, copyInBatch, copyBehind, ...given } = others;
      assert.deepEqual(given, {
        namedAfterwards: [{ j: { a: 1 } }],
        behind: [{ one: 1 }],
        comment: [],
        created: 3,
        several: [{ two: 2 }, { "?column?": 3 }],
        locks: 0,
        isSame: true,
      });
      for (const { message } of [unwritable, unwritableAlone, unwritableNamed]) assert.match(message, /BigInt/);
      assert.deepEqual([unwritable.statementIndex, unparsed.statementIndex, copyInBatch.statementIndex], [1, 1, 1]);
      assert.equal(unparsed.code, "42601");
      for (const { message } of [copy, copyInBatch, copyBehind]) assert.match(message, /No source stream defined/);
      assert.deepEqual(await marks(), []);
    });

    test("a client with pg's own pipeline works, too", async () => {
      const { query, batch, failed } = await ask("pipelined");
      assert.deepEqual([query, batch, failed.code, failed.statementIndex], [[[1]], [1, 2], "22012", 1]);
      assert.deepEqual(await marks(), []);
    });

    test("rows are read one after the other, above 32 MiB in all, as long as they are wanted", async () => {
      const { isSame, ...given } = await ask("streams?on=NARROW");
      assert.deepEqual(given, {
        count: 40_000,
        sum: 800_020_000,
        units: 40_000_000,
        last: [5000],
        odd: [1, 2, 3],
      });
      assert.equal(isSame, true);
    });

    test("a lease reads rows inside its transaction, refuses other statements until then, and goes on", async () => {
      const { busy, ...given } = await ask("streamsOfALease?on=NARROW");
      assert.deepEqual(given, {
        sum: 40_504_500,
        after: 10_000,
        typed: ["23:1", "23:2", 9999, 10_000],
        none: 0,
      });
      assert.equal(busy.code, "ERR_POOL_INVALID_REQUEST");
      assert.match(busy.message, /rows are being read on this lease with stream\(\)/);
    });

    test("a stream that its reader leaves in any way, or whose row is too wide, leaves its lease usable", async () => {
      const { wide, aborted, thrown, ...after } = await ask("streamsLeft?on=NARROW");
      assert.match(wide.message, /result cannot be sent.*32MiB/);
      assert.deepEqual([aborted.name, thrown.message], ["AbortError", "the reader's own"]);
      assert.deepEqual(after, { afterWide: 1, afterAbort: 1, afterThrow: 1 });
    });

    test("a row of nearly 32 MiB crosses, whatever is before it", async () => {
      assert.deepEqual(await ask("streamOfWideRows"), [900_000, 33_000_000, 1, 33_000_000]);
    });

    test("a stream whose connection is lost between two of its parts rejects, and does not seem complete", async () => {
      const { code, message, count, unexpected } = await ask("streamCutOff?on=NARROW");
      // The server's last message may be lost with the connection.
      assert.match(code ?? message, /^57P01$|^Connection terminated unexpectedly$/);
      assert.equal(unexpected, undefined);
      assert.ok(count > 0 && count < 9000, `${count} rows`);
    });

    test("a stream of rows that fails rejects where it failed, and its connection goes on if it can", async () => {
      const { late, syntax, unwritable, broken, cannot, wide, aborted, lost, isSame } =
        await ask("streamFailures?on=NARROW");
      assert.deepEqual([late.code, syntax.code, broken.code, broken.count], ["22012", "42601", "E_BROKE", 0]);
      assert.ok(late.count < 100);
      assert.match(unwritable.message, /BigInt/);
      assert.match(cannot.message, /stream\(\) does not know how.*readRows/);
      assert.match(wide.message, /result cannot be sent.*32MiB/);
      assert.deepEqual([aborted.name, lost.code, isSame], ["TimeoutError", "57P01", false]);
      assert.equal((await ask("next?on=NARROW")).inherited, false);
    });

    test("a stream that its request leaves open ends with it", async () => {
      const { pid } = await ask("next?on=NARROW");
      assert.equal(await ask("leavesAStream?on=NARROW"), "left");
      assert.deepEqual(await ask("next?on=NARROW"), { pid, inherited: false });
    });

    test("a database's error arrives with its message, SQLSTATE and constraint", async () => {
      const { unique, syntax } = await ask("errors");
      assert.equal(unique.message, 'duplicate key value violates unique constraint "people_pkey"');
      assert.deepEqual(
        [unique.code, unique.severity, unique.constraint, unique.detail],
        ["23505", "ERROR", "people_pkey", "Key (name)=(ann) already exists."],
      );
      assert.deepEqual([syntax.code, syntax.position], ["42601", "1"]);
    });

    test("an error arrives whatever its properties are: of these what is plain data, and not too much", async () => {
      const instance = await ask("thrown?key=instance");
      assert.deepEqual(
        [instance.message, instance.code, instance.detail, instance.at, instance.when],
        ["its detail is an instance", "E_REAL", undefined, { line: 7 }, "1970-01-01T00:00:00.000Z"],
      );
      assert.equal(instance.inLease, "its detail is an instance");
      assert.match(instance.inBatch, /^its detail is an instance \[statement 2 of 2/);
      const getter = await ask("thrown?key=getter");
      assert.deepEqual(
        [getter.message, getter.code, getter.detail, getter.inLease],
        ["a property throws", "E_REAL", undefined, "a property throws"],
      );
      const client = await ask("thrown?key=client");
      assert.deepEqual(
        [client.message, client.code, client.self.message],
        ["a graph hangs on it", "E_REAL", "a graph hangs on it"],
      );
      assert.ok(JSON.stringify(client).length < 500_000, "all of it was sent");
    });

    test("an error of several arrives with each of them, and its message is theirs if it has none", async () => {
      const { isAggregate, name, message, code, all } = await ask("thrown?key=aggregate");
      assert.deepEqual(
        { isAggregate, name, message, code },
        {
          isAggregate: true,
          name: "AggregateError",
          message: "connect ECONNREFUSED ::1; connect ECONNREFUSED 127.0.0.1",
          code: "ECONNREFUSED",
        },
      );
      assert.deepEqual(
        all.map(({ message, port }) => [message, port]),
        [
          ["connect ECONNREFUSED ::1", undefined],
          ["connect ECONNREFUSED 127.0.0.1", 5432],
        ],
      );
      const many = await ask("thrown?key=many");
      assert.deepEqual([many.message, many.all.length, many.all[0].message], ["all of them", 8, "error 0"]);
      assert.equal((await ask("thrown?key=circular")).message, "itself");
    });

    test("whatever else is thrown arrives as an error that says what it is", async () => {
      const plain = await ask("thrown?key=plain");
      assert.deepEqual(
        [plain.name, plain.message, plain.code, plain.at],
        ["Error", "thrown without a class", "E_PLAIN", { line: 7 }],
      );
      const messages = {
        bare: "an object (no class) was thrown",
        unreadable: "a value that cannot be shown was thrown",
        unreadableFunction: "a function (anonymous) was thrown",
        text: "a text",
        nothing: "undefined",
      };
      for (const [key, message] of Object.entries(messages)) {
        const thrown = await ask(`thrown?key=${key}`);
        assert.deepEqual([thrown.name, thrown.message, thrown.inLease], ["Error", message, message]);
        assert.ok(
          thrown.inBatch.startsWith(`${message} [statement 2 of 2 (${key}); all of it was rolled back`),
          thrown.inBatch,
        );
      }
    });

    test("a connection that the server ends rejects one statement, and the next caller has another", async () => {
      await run("DELETE FROM people");
      const { killed, after: next } = await ask("errors");
      assert.equal(killed.code, "57P01");
      assert.deepEqual(next, [{ one: 1 }]);
      const lost = await ask("lost");
      assert.equal(lost.killed.code, "57P01");
      assert.equal(lost.after.code, "ERR_POOL_DISCONNECTION");
      assert.match(lost.after.message, /connection of this lease was lost/);
      assert.match(lost.after.cause, /terminating connection/);
      assert.deepEqual(lost.next, [{ one: 1 }]);
    });

    test("without poolOf() the methods give the same results, and errors have their code in the message", async () => {
      const { unique, argument, ended, hidden, ...given } = await ask("direct");
      assert.deepEqual(given, {
        rows: [{ n: 1 }],
        batch: [1, 2],
        lease: [{ n: 4 }],
        leaseBatch: [5],
        counted: 9,
        used: 0,
      });
      assert.match(
        unique.message,
        /^(error: )?duplicate key value violates unique constraint "people_pkey" \(23505\)$/,
      );
      assert.match(argument.message, /text must be a string with a statement; it is 7 \(ERR_POOL_ARGUMENT\)$/);
      assert.match(ended.message, /this lease has ended.*\(ERR_POOL_INVALID_REQUEST\)$/);
      assert.match(hidden.message, /does not implement the method "pool"/);
    });

    test("a batch runs on one connection and commits as one, or is rolled back and names what failed", async () => {
      await run("TRUNCATE marks, people");
      const { committed, failed, kept, deferred, onePid, none } = await ask("batches");
      assert.deepEqual(
        committed.map(({ rowCount, rows }) => [rowCount, rows]),
        [
          [1, []],
          [1, [{ name: "two" }]],
        ],
      );
      assert.deepEqual([failed.code, failed.constraint, failed.statementIndex], ["23505", "people_pkey", 2]);
      assert.match(failed.message, /statement 3 of 3 \(INSERT INTO people VALUES \(\$1\)\); all of it was rolled back/);
      assert.deepEqual([kept.code, kept.statementIndex], ["22012", 1]);
      assert.match(kept.message, /statement 2 of 3 \(SELECT 1\/0\); those before it stay/);
      assert.deepEqual(
        [deferred.code, deferred.constraint, deferred.statementIndex],
        ["23505", "late_number_key", undefined],
      );
      assert.deepEqual({ onePid, none }, { onePid: true, none: [] });
      await nobodyHoldsOne("DATABASE");
      assert.deepEqual(await marks(), ["four", "one", "two"]);
      assert.deepEqual(await run("SELECT * FROM people UNION ALL SELECT number::text FROM late"), []);
    });

    test("a lease runs everything on its one connection, in turn, and goes on after a failed batch", async () => {
      const { nested, failed, after: afterwards, ...given } = await ask("lease");
      assert.deepEqual(given, {
        onePid: true,
        several: [1, 2, 3],
        inside: [{ n: 4 }],
        goesOn: [{ n: 5 }],
        used: 1,
        usedAfter: 0,
      });
      assert.match(nested.message, /open transaction already/);
      assert.deepEqual([failed.code, failed.statementIndex], ["22012", 1]);
      assert.deepEqual([afterwards.code, afterwards.isPoolError], ["ERR_POOL_INVALID_REQUEST", true]);
      assert.match(afterwards.message, /this lease has ended: it was released or disposed/);
    });

    for (const on of ["DATABASE", "UNTOLD"]) {
      const knowing = on === "DATABASE" ? "whose dialect knows of transactions" : "whose dialect does not";

      test(`a batch never commits the transaction that its lease has open: of a pool ${knowing}`, async () => {
        for (const begin of ["BEGIN", "-- mine\nstart  transaction", "SELECT 1; BEGIN", "; /* a ; */ BEGIN"]) {
          await run("TRUNCATE marks");
          const { nested, stillNested } = await ask(`ownTransaction?on=${on}&key=${encodeURIComponent(begin)}`);
          for (const { code, message } of [nested, stillNested]) {
            assert.equal(code, "ERR_POOL_INVALID_REQUEST", message);
            assert.match(message, /open transaction already.*transaction: false/);
          }
          assert.deepEqual(await marks(), ["afterwards"]);
        }
      });

      test(`a statement that begins or ends a transaction is refused in a batch with one: ${knowing}`, async () => {
        await run("TRUNCATE marks");
        for (const statement of [
          "COMMIT",
          "rollback;",
          "/* now */ End",
          "ABORT",
          "BEGIN",
          "START TRANSACTION",
          "COMMIT AND CHAIN",
          "; COMMIT",
          "/* a /* comment; */ within */ COMMIT",
        ]) {
          const { code, message } = await ask(`endsWithin?on=${on}&key=${encodeURIComponent(statement)}`);
          assert.equal(code, "ERR_POOL_ARGUMENT", message);
          assert.match(message, /statements\[1\] .*begins or ends a transaction.*transaction: false/);
        }
        assert.deepEqual(await marks(), []);
        const savepoints = await ask(
          `endsWithin?on=${on}&key=${encodeURIComponent("SAVEPOINT s; ROLLBACK TO s; RELEASE s")}`,
        );
        assert.equal(savepoints.unexpected?.length, 3, savepoints.message);
        assert.deepEqual(await marks(), ["after it", "before it"]);
      });
    }

    test("a batch whose transaction is ended within a text stops there, and claims no rollback", async () => {
      await run("TRUNCATE marks");
      const { code, message, statementIndex } = await ask(`endsWithin?key=${encodeURIComponent("SELECT 1; COMMIT")}`);
      assert.deepEqual([code, statementIndex], ["ERR_POOL_INVALID_REQUEST", 1]);
      assert.match(message, /statement 2 of 3 \(SELECT 1; COMMIT\) ended the transaction.*transaction: false/);
      assert.doesNotMatch(message, /rolled back/);
      assert.deepEqual(await marks(), ["before it"]);
    });

    test("use() returns the lease whatever its function does, and its error comes out unchanged", async () => {
      await nobodyHoldsOne("DATABASE");
      const { inside, threw, used } = await ask("use");
      assert.deepEqual([inside, threw.name, threw.message, used], [[{ one: 1 }], "RangeError", "the caller's own", 0]);
    });

    // The object has one connection, so a caller that comes next has the one on which a transaction was left open.
    const ends = {
      "is released": async () => assert.equal(await ask("releases?on=NARROW"), 0),
      "is disposed": async () => assert.match((await ask("disposes?on=NARROW")).message, /this lease has ended/),
      "is forgotten": async () => assert.equal(await ask("forgets?on=NARROW"), "forgotten"),
      "is lost in a throw": async () => assert.match(await ask("throws?on=NARROW"), /^500/),
      "is held by a request that is ended because it hangs": async () =>
        assert.match(await ask("hangs?on=NARROW"), /^500/),
      "is held by a request whose client disconnects": async () => {
        assert.equal(await ask("disconnects?on=NARROW&key=dawdles"), "AbortError");
      },
    };
    for (const [how, end] of Object.entries(ends)) {
      test(`a lease that ${how} goes back, its transaction rolled back before the next caller`, async () => {
        await run("TRUNCATE marks");
        const { pid } = await ask("next?on=NARROW");
        await end();
        assert.deepEqual(await ask("next?on=NARROW"), { pid, inherited: false });
        await nobodyHoldsOne("NARROW");
        assert.deepEqual(await marks(), []);
        assert.deepEqual(await backends("Narrow"), [pid]);
      });
    }

    test("a query whose client disconnects ends with its request", async () => {
      const start = Date.now();
      assert.equal(await ask("disconnects?on=NARROW&key=runsLong"), "AbortError");
      assert.equal((await ask("next?on=NARROW")).inherited, false);
      assert.ok(Date.now() - start < 2000, `the next caller waited ${Date.now() - start} ms`);
    });

    test("however 200 callers end, the object has its five connections afterwards, without transactions", async () => {
      await run("TRUNCATE marks");
      const paths = ["releases", "disposes", "forgets", "throws", "hangs", "leavesTheQueue", "work", "dawdles?ms=5"];
      await Promise.all(
        Array.from({ length: 200 }, async (_, number) => {
          const path = paths[number % paths.length];
          const worker = ["first", "second", "third"][number % 3];
          // Every second slow caller disconnects.
          if (path.startsWith("dawdles") && number % 16 > 8)
            await ask(path, { worker, signal: AbortSignal.timeout(number) }).catch(() => {});
          else await ask(path, { worker });
        }),
      );
      await nobodyHoldsOne("DATABASE");
      const { idle, total, leaked } = await ask("stats");
      assert.deepEqual([idle, total, leaked], [5, 5, 0]);
      for (let number = 0; number < 5; number++) assert.equal((await ask("next")).inherited, false);
      assert.deepEqual(await marks(), []);
    });

    test("a caller that is gone while it queues costs no connection", async () => {
      const held = ask("hold?on=NARROW&ms=300");
      await until(async () => (await ask("stats?on=NARROW")).used === 1, "the lease is out");
      for (let number = 0; number < 5; number++) assert.equal(await ask("leavesTheQueue?on=NARROW"), "gone");
      assert.equal(await held, "held");
      assert.equal((await ask("next?on=NARROW")).inherited, false);
      await nobodyHoldsOne("NARROW");
    });

    test("a short statement that runs when its lease ends is waited for; what is behind it never runs", async () => {
      await run("TRUNCATE marks");
      const { before: held, running, waiting } = await ask("disposesRunning?on=NARROW&ms=200");
      assert.equal(running.unexpected.rowCount, 1);
      assert.match(waiting.message, /this lease has ended/);
      assert.deepEqual(await ask("next?on=NARROW"), { pid: held, inherited: false });
      assert.deepEqual(await marks(), []);
    });

    test("what is called after the end of a lease is refused, also while a statement still runs", async () => {
      const { running, late } = await ask("endsWhileRunning");
      assert.equal(running, 1);
      for (const { message } of late) assert.match(message, /this lease has ended/);
    });

    test("a long statement that runs when its lease ends costs its connection, and no caller waits", async () => {
      const start = Date.now();
      const { before: held, running } = await ask("disposesRunning?on=NARROW&ms=8000");
      assert.equal(running.unexpected, undefined);
      const { pid, inherited } = await ask("next?on=NARROW");
      assert.ok(Date.now() - start < 5000, "the next caller waited for the statement");
      assert.deepEqual([pid === held, inherited], [false, false]);
      await run("SELECT pg_terminate_backend($1)", [held]);
    });

    for (const call of ["query", "batch"]) {
      test(`a ${call} of a request that has ended frees its connection within a second`, async () => {
        await run("TRUNCATE marks");
        const { pid } = await ask("next?on=NARROW");
        assert.equal(await ask(`leavesRunning?on=NARROW&key=${call}`), "left");
        const start = Date.now();
        assert.deepEqual(await ask("next?on=NARROW"), { pid, inherited: false });
        assert.ok(Date.now() - start < 1000, `the next caller waited ${Date.now() - start} ms`);
        assert.deepEqual(await marks(), []);
      });
    }

    test("a call that queues when its request ends never runs, and leaves the queue", async () => {
      await run("TRUNCATE marks");
      const held = ask("hold?on=NARROW&ms=900");
      await until(async () => (await ask("stats?on=NARROW")).used === 1, "the lease is out");
      const thrown = await Promise.all(Array.from({ length: 3 }, () => ask("throwsQueued?on=NARROW&ms=300")));
      for (const answer of thrown) assert.match(answer, /^500/);
      await until(async () => (await ask("stats?on=NARROW")).waiting === 0, "nothing queues");
      assert.equal(await held, "held");
      assert.equal((await ask("next?on=NARROW")).inherited, false);
      await nobodyHoldsOne("NARROW");
      assert.deepEqual(await marks(), []);
    });

    test("a call that took long leaves its request as it was: one that hangs is ended", async () => {
      assert.match(await ask("hangsAfterwards"), /^500/);
    });

    test("a signal ends its call at once, in the queue and at work, and the connection is kept", async () => {
      await run("TRUNCATE marks");
      const { ms, isSame, waiting, unharmed, slow, already, ...aborted } = await ask("aborts?on=NARROW");
      for (const [call, { name, unexpected }] of Object.entries(aborted))
        assert.deepEqual([name, unexpected], ["TimeoutError", undefined], call);
      assert.equal(already.message, "the user went away");
      assert.deepEqual(
        { isSame, waiting, unharmed, slow },
        { isSame: true, waiting: 0, unharmed: [{ one: 1 }], slow: 1 },
      );
      assert.ok(ms < 3000, `it took ${ms} ms`);
      assert.deepEqual(await marks(), []);
    });

    test("by default at most 500 calls queue: those beyond are refused at once", async () => {
      assert.deepEqual(await ask("crowd?on=NARROW"), { code: "ERR_POOL_QUEUE_FULL", waiting: 500, refused: 20 });
    });

    test("with a holdLimit that terminates, a lease is taken back, and its holder's next call says so", async () => {
      const { isSame, ...errors } = await ask("heldTooLong?on=BOUNDED");
      assert.equal(isSame, false);
      for (const { code, message } of Object.values(errors)) {
        assert.equal(code, "ERR_POOL_DISCONNECTION", message);
        assert.match(message, /took the connection back.*holdLimit/);
      }
    });

    test("a batch whose connection is lost does not claim to know what became of it", async () => {
      await run("TRUNCATE marks");
      const { batch, unsent } = await ask("cutOff");
      assert.match(batch.message, /no answer came.*committed is not known/);
      assert.match(unsent.message, /not queryable$/);
      await until(async () => (await marks()).length > 0, "the server has committed it all the same");
    });

    test("a time-out of the client bounds its statements, and not how slowly rows of a stream are read", async () => {
      const { count, late } = await ask("readsSlowly");
      assert.equal(count, 4000);
      assert.match(late.message, /Query read timeout/);
    });

    test("what is no caller gets no answer, and harms no other call", async () => {
      const messages = await ask("callersThatAreNone");
      assert.equal(messages.length, 6);
      for (const message of messages) assert.match(message, /wants no answer|canceling statement/);
      await run("TRUNCATE marks");
      const held = ask("hold?on=NARROW&name=callers&ms=900");
      await until(async () => (await ask("stats?on=NARROW&name=callers")).used === 1, "the lease is out");
      assert.match(await ask("throwsQueued?on=NARROW&name=callers&ms=300"), /^500/);
      await until(async () => (await ask("stats?on=NARROW&name=callers")).waiting === 0, "nothing queues");
      await held;
      assert.deepEqual(await marks(), []);
    });

    test("three isolates share one object: at most five backends in all", async () => {
      // Other tests have objects of this class, too.
      const name = await ask("name");
      let most = 0;
      let isWatching = true;
      const watch = (async () => {
        while (isWatching)
          most = Math.max(
            most,
            (await run("SELECT 1 FROM pg_stat_activity WHERE application_name = $1", [name])).length,
          );
      })();
      const answers = await Promise.all(
        Array.from({ length: 90 }, (_, number) => ask("work", { worker: ["first", "second", "third"][number % 3] })),
      );
      isWatching = false;
      await watch;
      assert.equal(new Set(answers.map(({ isolate }) => isolate)).size, 3);
      assert.ok(most <= 5, `${most} backends at once`);
      assert.equal(new Set(answers.map(({ pid }) => pid)).size, 5);
      const { max, total, waited } = await ask("stats");
      assert.deepEqual([max, total], [5, 5]);
      assert.ok(waited > 0, "nobody queued");
    });

    test("callers of three isolates are served in the order in which they came", async () => {
      await run("TRUNCATE turns RESTART IDENTITY");
      const held = ask("hold?on=NARROW&ms=600");
      await until(async () => (await ask("stats?on=NARROW")).used === 1, "the lease is out");
      const turns = [];
      for (let number = 1; number <= 12; number++) {
        turns.push(ask(`turn?on=NARROW&key=${number}`, { worker: ["first", "second", "third"][number % 3] }));
        await until(async () => (await ask("stats?on=NARROW")).waiting === number, `caller ${number} queues`);
      }
      await held;
      assert.deepEqual(
        await Promise.all(turns),
        Array.from({ length: 12 }, (_, index) => index + 1),
      );
    });

    test("a caller without a connection in time is refused, with the pool's numbers", async () => {
      await nobodyHoldsOne("NARROW");
      for (const error of Object.values(await ask("late?on=NARROW"))) {
        assert.deepEqual(
          [error.name, error.code, error.isPoolTimeout, error.step, error.stats?.used, error.size],
          ["PoolTimeoutError", "ERR_POOL_TIMEOUT", true, "wait", 1, 1],
        );
      }
    });

    test("idle connections are closed after idleTimeout, and the next caller has a new one", async () => {
      const { pid } = await ask("next?on=BRIEF");
      assert.deepEqual(await backends("Brief"), [pid]);
      await until(async () => (await backends("Brief")).length === 0, "the idle connection is closed");
      assert.equal((await ask("stats?on=BRIEF")).total, 0);
      assert.notEqual((await ask("next?on=BRIEF")).pid, pid);
    });

    test("a key always goes to the same shard; without one, calls spread over all", async () => {
      const { first, again, random, named } = await ask("shards");
      assert.deepEqual(again, first);
      assert.ok(new Set(first).size > 1, "every key went to one shard");
      assert.equal(new Set([...first, ...random]).size, 4);
      assert.ok(![...first, ...random].includes(named));
    });

    test("the numbers of all shards are their sums, and those of one are its own", async () => {
      const { wrong, ...numbers } = await ask("statsOfAll");
      assert.deepEqual(numbers, { used: 1, max: 15, checkouts: 7, ofOne: 5, alone: 1 });
      assert.match(wrong.message, /scope of stats\(\) must be "current" or "all"/);
    });

    test("an object that is reset loses what was not committed, and its next caller finds a working pool", async () => {
      await run("TRUNCATE marks");
      const old = await pidsOf(await ask("name"));
      const { reset, query, next, ...ofLeases } = await ask("reset");
      assert.match(reset, /reset for the test/);
      for (const [when, { code, message, durableObjectReset, retryable, overloaded }] of Object.entries(ofLeases)) {
        assert.deepEqual(
          [code, durableObjectReset, retryable, overloaded],
          ["ERR_POOL_DISCONNECTION", true, retryable, false],
          when,
        );
        assert.equal(typeof retryable, "boolean");
        assert.match(message, /Durable Object .* was reset/);
      }
      assert.equal(query.durableObjectReset, true);
      assert.deepEqual(next, [{ one: 1 }]);
      assert.deepEqual(await marks(), []);
      await until(
        async () => (await backends("Database")).every((pid) => !old.includes(pid)),
        "the old connections are gone",
      );
    });

    test("a call that had sent nothing to the database when its object was reset is sent again, once", async () => {
      await run("TRUNCATE marks");
      assert.deepEqual(await ask("resetWhileQueued"), [{ unexpected: 1 }, { unexpected: 1 }, { unexpected: 7 }]);
      assert.deepEqual(await marks(), ["of a batch", "of a query"]);
    });

    test("an error's stack says where the caller awaited it, and where in the object it was thrown", async () => {
      const { killed, after: lost } = await ask("lost");
      const { stack } = await ask("thrown?key=instance");
      for (const error of [killed, lost]) {
        const [own, remote] = error.stack.split("\n    in the Durable Object:\n");
        assert.match(own, /^(error|DisconnectionError): .*\n\s+at /);
        assert.match(remote, /^\s+at .*main\.js:\d+/);
      }
      assert.match(stack, /in the Durable Object:\n\s+at Object\.instance /);
    });

    test("poolOf() at module scope serves one request after the other, and several at once", async () => {
      const pid = await ask("moduleScope");
      assert.equal(await ask("moduleScope"), pid);
      assert.ok((await Promise.all(Array.from({ length: 20 }, () => ask("moduleScope")))).includes(pid));
    });

    test("a lease that another request uses is refused in words of our own, and went back with its own", async () => {
      assert.deepEqual(await ask("shares"), [{ one: 1 }]);
      const used = await ask("takes");
      assert.equal(used.code, "ERR_POOL_INVALID_REQUEST");
      assert.match(used.message, /this lease was taken by another request/);
    });

    test("a lease that another request releases or disposes goes on with its own", async () => {
      const owner = ask("owns?ms=400");
      await until(async () => (await ask("stats?name=owned")).used === 1, "the lease is out");
      assert.match((await ask("meddles")).message, /this lease was taken by another request/);
      const { isSame, after: afterwards } = await owner;
      assert.equal(isSame, true);
      assert.match(afterwards.message, /this lease has ended/);
    });

    test("a result that cannot be sent is an error that says why, that it ran, and what to do", async () => {
      const why = {
        huge: /32MiB/,
        "a hidden instance": /rows\[0\]\.value\.site is an object \(URL\)/,
        "a function within": /rows\[0\]\.value\[1\]\.call is a function \(call\)/,
        "a symbol": /rows\[0\]\[0\] is Symbol\(said\)/,
        "itself within": /rows\[0\] has more than 200 levels/,
      };
      for (const [key, reason] of Object.entries(why)) {
        const { inPool, inLease, goesOn } = await ask(`answered?key=${encodeURIComponent(key)}`);
        for (const { code, message } of [inPool, inLease]) {
          assert.equal(code, "ERR_POOL_ARGUMENT", message);
          assert.match(message, /result cannot be sent.*ran.*LIMIT.*cast.*runQuery/);
          assert.match(message, reason);
        }
        assert.deepEqual(goesOn, [{ type: "number", value: 1 }]);
      }
      assert.match((await ask("unanswerable")).message, /result cannot be sent.*Symbol\(said\)/);
      assert.equal((await ask("stats?on=FOREIGN")).used, 0);
    });

    test("bytes cross with their own bytes only, in both directions and at any depth", async () => {
      assert.deepEqual(await ask("ownBytes"), {
        blob: ["abc", "Uint8Array", 3],
        floats: ["Float32Array", 1, 4],
        sent: [97, 97, 97],
        within: ["Uint8Array", 3],
      });
    });

    test("collections and nested instances arrive as what they are, and no driver writes them as {}", async () => {
      const { written, inBatch, ...given } = await ask("collections");
      assert.deepEqual(given, {
        instances: { span: { days: 1 }, list: [{ days: 1 }] },
        map: [true, true, true],
        bare: { a: { b: 1 } },
        echoed: ["Map", "Object", "ArrayBuffer"],
        bytes: [1, 2],
        asJson: [{ json: { a: 1 } }],
      });
      assert.match(written.message, /values\[0\] is or has a Map or a Set.*Object\.fromEntries/);
      assert.match(inBatch.message, /values\[0\] is or has a Map or a Set/);
      for (const { code } of [written, inBatch]) assert.equal(code, "ERR_POOL_ARGUMENT");
    });

    test("a value or a result above 32 MiB is reported as that, and the transaction can still commit", async () => {
      await run("TRUNCATE marks");
      const { result, value } = await ask("tooMuch");
      assert.match(result.message, /result cannot be sent.*32MiB/);
      assert.match(value.message, /values must be .*32 MiB/);
      assert.deepEqual(await marks(), ["left open"]);
    });

    test("an answer of the driver that is none is refused in words that say what it must be", async () => {
      const expected = {
        "a null row": /rows\[1\] of the driver's answer must be an object or an array; it is null.*runQuery/,
        "a text row": /rows\[0\] of the driver's answer must be an object or an array; it is "ab"/,
        "no list of fields": /fields of the driver's answer must be an array.*it is 5/,
        "a null field": /fields\[0\] of the driver's answer must be an object with a name; it is null/,
        "a count that is none": /rowCount of the driver's answer must be a number or null; it is a function/,
      };
      for (const [key, message] of Object.entries(expected)) {
        const { inPool, inLease } = await ask(`answered?key=${encodeURIComponent(key)}`);
        for (const error of [inPool, inLease]) {
          assert.match(error.message, message);
          assert.equal(error.code, "ERR_POOL_ARGUMENT");
        }
      }
    });

    test("a call that the object or a lease does not have is refused, not answered with nothing", async () => {
      const messages = (await ask("unknownCalls")).map(({ failure }) => `${failure?.name}: ${failure?.message}`);
      const [object, nothing, query, lease, leaseQuery] = messages;
      for (const message of [object, lease]) assert.match(message, /^ArgumentError: .*"nonsense"/);
      assert.match(nothing, /^ArgumentError: .*undefined/);
      for (const message of [query, leaseQuery]) assert.match(message, /^ArgumentError: text must be a string/);
    });

    test("any driver works with runQuery; an error of the creator or of the options arrives as it was", async () => {
      const { foreign, unreachable, mistaken } = await ask("others");
      assert.deepEqual(foreign, { rows: [{ said: "HELLO" }], rowCount: 1, fields: [] });
      assert.deepEqual(
        [unreachable.message, unreachable.code, unreachable.cause],
        ["no server there", "ECONNREFUSED", "the socket says no"],
      );
      assert.match(mistaken.message, /poolSize must be a whole number, 0 or more.*it is -3/);
    });

    test("a bad argument is refused at once: the error names it, shows it, and says what is allowed", async () => {
      const expected = {
        namespace: /namespace must be a binding to a Durable Object class.*"DATABASE"/,
        stub: /namespace must be a binding to a Durable Object class.*it is an object/,
        shards: /shards must be a whole number, 1 or more; it is 0/,
        key: /key must be a string that is not empty; it is 7/,
        keyAlone: /key must come with shards.*it is "ann"/,
        name: /name must be a string that is not empty; it is ""/,
        unknown: /no option "shard" .*it has name, shards/,
        text: /text must be a string with a statement; it is undefined/,
        config: /a statement has no option "sql".*it has text, values, name, rowMode, types/,
        statementName: /name must be a string that is not empty; it is 7/,
        rowMode: /statements\[0\]: its rowMode must be "array" or "object"; it is "list"/,
        types: /types must be an object with a function getTypeParser; it is an object \(Object\)/,
        values: /values must be an array.*it is 7/,
        value: /values must be strings, numbers.*values\[0\] is Symbol\(seven\)/,
        nested: /values must be strings, numbers.*values\[0\]\.a\[0\] is an object \(URL\)/,
        callback: /values must be .*statements\[0\]: its values\[1\] is a function/,
        circle: /values must be .*values has more than 200 levels/,
        valueInLease: /values must be strings, numbers.*Seven/,
        timeout: /timeout must be a duration.*it is "5 seconds"/,
        option: /lease\(\) has no option "wait".*it has timeout, signal/,
        signal: /signal must be an AbortSignal; it is an object \(Object\)/,
        statements: /statements must be an array.*it is "SELECT 1"/,
        statement: /statements\[1\] must be a string or \{ text, values \}; it is 7/,
        member: /statements\[0\] has no option "sql".*it has text, values/,
        transaction: /transaction must be true or false; it is "yes"/,
        fn: /use\(\) wants a function of the lease; it got "SELECT 1"/,
      };
      const mistakes = await ask("mistakes");
      for (const [name, message] of Object.entries(expected)) {
        assert.match(mistakes[name].message, message);
        assert.deepEqual([mistakes[name].code, mistakes[name].name], ["ERR_POOL_ARGUMENT", "ArgumentError"]);
      }
    });
  });
