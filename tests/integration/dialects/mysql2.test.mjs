// The dialect of mysql2: its own client, of callbacks and of promises, against a scripted server on real sockets.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { promisify } from "node:util";
import { QueuePool } from "edgepool";
import { mysql2 } from "edgepool/dialects/mysql2";
import { build } from "esbuild";
import callbacks from "mysql2";
import promises from "mysql2/promise";
import { root } from "../../../scripts/run.mjs";
import { startScriptedMysql } from "./scripted-mysql.mjs";

let server;

before(async () => {
  server = await startScriptedMysql();
});

beforeEach(() => {
  server.sessions.length = 0;
});

after(() => server.stop());

const styles = {
  promises: {
    open: () => promises.createConnection(server.options),
    query: (connection, text) => connection.query(text),
    core: (connection) => connection.connection,
  },
  callbacks: {
    open: () =>
      new Promise((resolve, reject) => {
        const connection = callbacks.createConnection(server.options);
        connection.connect((error) => (error ? reject(error) : resolve(connection)));
      }),
    query: (connection, text) =>
      new Promise((resolve, reject) =>
        connection.query(text, (error, rows) => (error ? reject(error) : resolve([rows]))),
      ),
    core: (connection) => connection,
  },
};

const silent = { debug() {}, info() {}, warn() {}, error() {} };

for (const [name, { open, query, core }] of Object.entries(styles)) {
  const pool = (options) =>
    new QueuePool(open, { dialect: mysql2, logger: silent, poolSize: 1, maxOverflow: 0, ...options });

  test(`${name}: a return rolls back before the next caller has the connection`, async () => {
    const one = pool();
    await one.use((connection) => query(connection, "BEGIN"));
    await one.use((connection) => query(connection, "SELECT 1"));
    await one.close();
    assert.deepEqual(
      server.sessions.map(({ received }) => received),
      [["BEGIN", "ROLLBACK", "SELECT 1", "quit"]],
    );
  });

  test(`${name}: a return sends nothing if the last answer said that no transaction is open`, async () => {
    const one = pool();
    const works = [
      (connection) => query(connection, "SELECT 7 AS id"),
      (connection) => query(connection, "SELECT ''"),
      (connection) => (name === "promises" ? connection.ping() : promisify((done) => connection.ping(done))()),
      () => {},
    ];
    for (const changed of [1, 251, 70_000, 20_000_000])
      works.push((connection) => query(connection, `CHANGE ${changed}`));
    for (const end of ["COMMIT", "ROLLBACK"])
      works.push(async (connection) => (await query(connection, "BEGIN"), await query(connection, end)));
    await one.use((connection) => query(connection, "SELECT 1"));
    server.sessions[0].received.length = 0;
    for (const work of works) await one.use(work);
    assert.deepEqual(server.sessions[0].received, [
      "SELECT 7 AS id",
      "SELECT ''",
      "ping",
      "CHANGE 1",
      "CHANGE 251",
      "CHANGE 70000",
      "CHANGE 20000000",
      "BEGIN",
      "COMMIT",
      "BEGIN",
      "ROLLBACK",
    ]);
    await one.close();
  });

  test(`${name}: a return rolls back whatever is not known to be outside of a transaction`, async () => {
    const works = {
      "nothing was answered yet": () => {},
      "it has begun one, and changed much in it": async (connection) => {
        await query(connection, "BEGIN");
        await query(connection, "CHANGE 70000");
      },
      "it has begun one, and read in it": async (connection) => {
        await query(connection, "BEGIN");
        await query(connection, "SELECT 7 AS id");
      },
      "an error says nothing": (connection) => query(connection, "FAIL 1213").catch(() => {}),
      "a command is under way": (connection) => void query(connection, "HANG").catch(() => {}),
      "a row cannot be read": (connection) => {
        const typeCast = () => assert.fail("by its caller");
        return query(connection, { sql: "SELECT ''", typeCast }).catch(() => {});
      },
    };
    for (const [why, work] of Object.entries(works)) {
      const one = pool();
      const { connection } = await one.connect();
      if (why !== "nothing was answered yet") await query(connection, "SELECT 1");
      await work(connection);
      assert.equal(mysql2.inTransaction(core(connection)), true, why);
      await one.close({ timeout: 0 });
    }
  });

  test(`${name}: a return rolls back what may have set the characteristics of the next transaction`, async () => {
    const one = pool();
    const returned = async (...statements) => {
      await one.use(async (connection) => {
        for (const text of statements) await query(connection, text);
      });
      // A rollback is over when the connection is lent again.
      await one.use(() => {});
      return server.sessions[0].received.splice(0).includes("ROLLBACK");
    };
    await returned("SELECT 1");
    const set = [
      "SET TRANSACTION READ ONLY",
      "set  transaction isolation level serializable",
      "/*!40101 SET TRANSACTION READ ONLY */",
      "SET @@tx_isolation = 'SERIALIZABLE'",
      "SET transaction_read_only = 1",
      "CALL report(7)",
      "/* of the shop */ call report(7)",
      "SELECT 1; EXECUTE report",
    ];
    for (const text of set) {
      assert.equal(await returned(text), true, text);
      assert.equal(await returned(text, "SELECT 7 AS id"), true, `${text}, and a statement after it`);
      assert.equal(await returned(text, "BEGIN", "COMMIT"), false, `${text}, and a transaction after it`);
    }
    for (const text of ["SET SESSION TRANSACTION READ ONLY", "SELECT * FROM transactions", "SELECT recall FROM things"])
      assert.equal(await returned(text), false, text);
    await one.close();
  });

  test(`${name}: a session reset forgets an open transaction, and what was set for the next one`, async () => {
    const one = pool({ resetOnReturn: "session" });
    await one.use((connection) => query(connection, "SET TRANSACTION READ ONLY"));
    await one.use(async (connection) => {
      assert.equal(mysql2.inTransaction(core(connection)), false);
      await query(connection, "BEGIN");
    });
    await one.use((connection) => assert.equal(mysql2.inTransaction(core(connection)), false));
    await one.close();
  });

  test(`${name}: a return in the event "end" of a statement is one at rest, if nothing waits behind it`, async () => {
    const cases = [
      ["SELECT 7 AS id", false, true],
      ["CHANGE 300", false, true],
      ["BEGIN", false, false],
      ["SET TRANSACTION READ ONLY", false, false],
      ["SELECT 7 AS id", true, false],
    ];
    for (const [text, waits, isClean] of cases) {
      const one = pool();
      const { connection } = await one.connect();
      const said = await new Promise((resolve) => {
        const command = core(connection).query(text);
        if (waits) query(connection, "SELECT 1").catch(() => {});
        command.once("end", () => resolve([mysql2.isBusy(connection), mysql2.inTransaction(connection)]));
      });
      assert.deepEqual(said, [waits, !isClean], text);
      await one.close({ timeout: 0 });
    }
  });

  test(`${name}: a connection that ends is never taken for clean`, async () => {
    const ends = {
      end: (connection) => connection.end(),
      destroy: (connection) => connection.destroy(),
      "its socket": (connection) => core(connection).stream.destroy(),
    };
    for (const [what, end] of Object.entries(ends)) {
      const one = pool();
      const { connection } = await one.connect();
      await query(connection, "SELECT 1");
      assert.equal(mysql2.inTransaction(core(connection)), false);
      void end(connection);
      assert.equal(mysql2.inTransaction(core(connection)), true, what);
      await one.close({ timeout: 0 });
    }
  });

  test(`${name}: with resetOnReturn "commit" a return commits`, async () => {
    const one = pool({ resetOnReturn: "commit" });
    await one.use((connection) => query(connection, "BEGIN"));
    await one.close();
    assert.deepEqual(server.sessions[0].received, ["BEGIN", "COMMIT", "quit"]);
  });

  test(`${name}: with resetOnReturn "session" a return resets session, database and character set`, async () => {
    const one = pool({ resetOnReturn: "session" });
    await one.use((connection) => query(connection, "BEGIN"));
    const reset = ["reset", "USE `test`"];
    const [lookUp] = server.sessions[0].received.splice(3, 1);
    assert.match(lookUp, /COLLATIONS WHERE ID = \d+$/);
    const names = "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci";
    assert.deepEqual(server.sessions[0].received, ["BEGIN", ...reset, names]);
    server.sessions[0].received.length = 0;
    await one.use(() => {});
    assert.deepEqual(server.sessions[0].received, [...reset, names], "the character set is known by now");
    await one.close();
  });

  test(`${name}: a session reset sends no SET NAMES to a server that keeps the character set`, async () => {
    const one = pool({ resetOnReturn: "session" });
    const lease = await one.connect();
    server.sessions[0].names.isKept = 1;
    await lease.close();
    await one.use(() => {});
    assert.equal(server.sessions[0].received.filter((text) => text.startsWith("SET NAMES")).length, 0);
    await one.close();
  });

  test(`${name}: a session reset replaces what is another user's, or cannot be reset`, async () => {
    const spoils = [
      (connection) => (connection.config.user = "another"),
      (connection) => (connection.clientEncoding = "latin1"),
      (connection) => Object.defineProperty(connection, "reset", { value: undefined }),
    ];
    for (const spoil of spoils) {
      const one = pool({ resetOnReturn: "session" });
      await one.use((connection) => void spoil(core(connection)));
      await one.use((connection) => query(connection, "SELECT 1"));
      assert.equal(one.stats().opened, 2);
      await one.close();
    }
  });

  test(`${name}: a session reset gives mysql2 the character set of the opening again`, async () => {
    const one = pool({ resetOnReturn: "session" });
    const charset = await one.use((connection) => core(connection).config.charsetNumber);
    // What mysql2 does if a server reports the character set of a SET NAMES.
    await one.use((connection) => void (core(connection).config.charsetNumber = 8));
    assert.equal(await one.use((connection) => core(connection).config.charsetNumber), charset);
    assert.equal(one.stats().opened, 1);
    await one.close();
  });

  test(`${name}: a session reset waits for a statement that is still under way at the return`, async () => {
    const one = pool({ resetOnReturn: "session" });
    let begin;
    await one.use((connection) => {
      begin = query(connection, "BEGIN");
    });
    await begin;
    await one.use(() => {});
    assert.deepEqual(server.sessions[0].received.slice(0, 2), ["BEGIN", "reset"]);
    await one.close();
  });

  test(`${name}: a statement of a lease that has ended is refused, and is not sent`, async () => {
    const one = pool();
    const late = await one.use((connection) => connection);
    await one.use(async (connection) => {
      await query(connection, "BEGIN");
      await assert.rejects(query(late, "INSERT"), { code: "ERR_POOL_INVALID_REQUEST" });
      for (const call of ["beginTransaction", "commit", "rollback", "ping", "reset", "end"]) {
        const answer = name === "promises" ? late[call]() : promisify((done) => late[call](done))();
        await assert.rejects(answer, { code: "ERR_POOL_INVALID_REQUEST" });
      }
      await query(connection, "COMMIT");
    });
    assert.deepEqual(server.sessions[0].received, ["ROLLBACK", "BEGIN", "COMMIT"]);
    await one.close();
  });

  test(`${name}: a statement still under way at the return is rolled back after`, async () => {
    const one = pool();
    let begin;
    await one.use((connection) => {
      begin = query(connection, "BEGIN");
    });
    await begin;
    await one.use(() => {});
    assert.deepEqual(server.sessions[0].received.slice(0, 2), ["BEGIN", "ROLLBACK"]);
    await one.close();
  });

  test(`${name}: a polite close says goodbye, and is over when the socket is closed`, async () => {
    const one = pool();
    const connection = await one.use((used) => used);
    await one.dispose();
    assert.equal(core(connection).stream.destroyed, true);
    await server.sessions[0].closed;
    assert.deepEqual(server.sessions[0].received, ["ROLLBACK", "quit"]);
    await one.close();
  });

  test(`${name}: a polite close of what is closing already waits for no server`, async () => {
    const connection = await open();
    server.sessions[0].freeze();
    connection.destroy();
    await mysql2.doClose(connection);
    await mysql2.doClose(connection);
    assert.equal(core(connection).stream.destroyed, true);
  });

  test(`${name}: a termination waits for no server, and fails the statement under way`, async () => {
    const one = pool();
    const lease = await one.connect();
    const { connection } = lease;
    server.sessions[0].freeze();
    const statements = ["HANG", "SELECT 1"].map((text) =>
      assert.rejects(query(connection, text), { code: "PROTOCOL_CONNECTION_LOST" }),
    );
    await lease.invalidate();
    assert.equal(core(connection).stream.destroyed, true);
    await Promise.all(statements);
    await one.close();
  });

  test(`${name}: a statement's time-out reaches its caller at once, and costs this connection alone`, async () => {
    const one = pool({ poolSize: 2 });
    const other = await one.connect();
    const start = Date.now();
    await assert.rejects(
      one.use((connection) => query(connection, { sql: "HANG", timeout: 50 })),
      { code: "PROTOCOL_SEQUENCE_TIMEOUT" },
    );
    assert.ok(Date.now() - start < 800);
    await other.close();
    await one.use((connection) => query(connection, "SELECT 7 AS id"));
    assert.deepEqual(
      [one.stats().invalidated, one.stats().used, server.sessions[0].received.includes("ROLLBACK")],
      [1, 0, true],
    );
    await one.close();
  });

  test(`${name}: a statement that was not awaited holds neither its caller nor the slot`, async () => {
    const one = pool({ returnTimeout: "500ms" });
    const start = Date.now();
    await one.use((connection) => void query(connection, "HANG").catch(() => {}));
    assert.ok(Date.now() - start < 450, "the caller does not wait for the return");
    await one.use((connection) => query(connection, "SELECT 7 AS id"));
    assert.ok(Date.now() - start < 5000, "the slot does not wait for the statement");
    assert.deepEqual([one.stats().opened, one.stats().invalidated], [2, 1]);
    await one.close();
  });

  test(`${name}: a row stream that is not read on costs its connection at once`, async () => {
    const one = pool();
    await one.use((connection) => {
      void query(connection, "HANG").catch(() => {});
      // What a stream does when its reader is slow.
      core(connection).pause();
    });
    assert.deepEqual([one.stats().used, one.stats().invalidated], [0, 1]);
    assert.ok(!server.sessions[0].received.includes("ROLLBACK"));
    await one.close();
  });

  test(`${name}: a connection that the server ends while idle is dropped and replaced`, async () => {
    const ends = [
      ["end", (connection) => once(connection, "end")],
      ["reset", (connection) => once(connection, "error")],
      ["sayGoodbye", (connection) => once(connection, "error")],
    ];
    for (const [end, heard] of ends) {
      const one = pool();
      const connection = await one.use((used) => used);
      const word = heard(core(connection)).catch(() => {});
      server.sessions.at(-1)[end](4031);
      await word;
      assert.equal(one.stats().idle, 0);
      assert.notEqual(await one.use(core), core(connection));
      await one.close();
    }
  });

  test(`${name}: a connection that ended before its creator returned it is replaced for its caller`, async () => {
    let opened = 0;
    const creator = async () => {
      const connection = await open();
      core(connection).on("error", () => {});
      if (++opened === 1) server.sessions[0].end();
      if (opened === 1) await once(core(connection).stream, "close");
      return connection;
    };
    const one = new QueuePool(creator, { dialect: mysql2, logger: silent, poolSize: 1, maxOverflow: 0 });
    await one.use((connection) => query(connection, "SELECT 1"));
    assert.equal(opened, 2);
    await one.close();
  });

  test(`${name}: a connection that was lost may mean the server, and one that was ended itself`, async () => {
    const [lost, ended] = [await open(), await open()];
    for (const connection of [lost, ended]) core(connection).on("error", () => {});
    server.sessions[0].end();
    await once(core(lost).stream, "close");
    ended.destroy();
    const answers = [];
    for (const connection of [lost, ended]) {
      const error = await query(connection, "SELECT 1").catch((failure) => failure);
      answers.push(mysql2.isDisconnect(error, connection));
    }
    assert.deepEqual(answers, [true, "connection"]);
  });

  test(`${name}: a server that shuts down fails the caller, and every connection as old is pinged`, async () => {
    for (const isGone of [false, true]) {
      server.sessions.length = 0;
      const two = pool({ poolSize: 2, pingTimeout: "50ms" });
      const other = await two.connect();
      await assert.rejects(
        two.use((connection) => query(connection, "FAIL 1053 AND CLOSE")),
        { errno: 1053 },
      );
      assert.equal(two.stats().invalidated, 1);
      const old = other.connection.threadId;
      await other.close();
      if (isGone) server.sessions[0].freeze();
      assert.equal((await two.use(({ threadId }) => threadId)) === old, !isGone);
      if (!isGone) assert.equal(server.sessions[0].received.includes("ping"), true);
      await two.close();
    }
  });

  test(`${name}: what concerns one connection replaces that one alone`, async () => {
    const losses = {
      "its session was killed": (connection) => query(connection, "FAIL 1927"),
      "its server only reads": (connection) => query(connection, "FAIL 1836"),
      "a statement took too long": (connection) => query(connection, { sql: "HANG", timeout: 10 }),
    };
    for (const [loss, work] of Object.entries(losses)) {
      const two = pool({ poolSize: 2 });
      const other = await two.connect();
      const kept = other.connection.threadId;
      await assert.rejects(two.use(work), loss);
      await other.close();
      assert.equal(await two.use(({ threadId }) => threadId), kept, loss);
      assert.deepEqual([two.stats().invalidated, two.stats().recycled], [1, 0], loss);
      await two.close();
    }
  });

  test(`${name}: an error of another connection costs nothing`, async () => {
    const one = pool();
    const other = await open();
    await assert.rejects(
      one.use(async (connection) => {
        await query(connection, "SELECT 1");
        core(other).stream.destroy();
        await query(other, "SELECT 1");
      }),
      { fatal: true },
    );
    assert.equal(one.stats().invalidated, 0);
    await one.close();
  });

  test(`${name}: a server that only reads is recognised by the option that it names`, async () => {
    const connection = await open();
    const error = (option) => ({ errno: 1290, message: `The server is running with the --${option} option` });
    const said = ["read-only", "super-read-only", "secure-file-priv"].map((option) =>
      mysql2.isDisconnect(error(option), connection),
    );
    assert.deepEqual(said, ["connection", "connection", false]);
    connection.destroy();
  });

  test(`${name}: a socket that ends under a statement fails its caller alone`, async () => {
    const ends = [
      (session) => session.end(),
      (session) => session.reset(),
      (_, connection) => connection.stream.destroy(),
    ];
    for (const end of ends) {
      const one = pool({ resetOnReturn: "none" });
      const lease = await one.connect();
      const hanging = assert.rejects(query(lease.connection, "HANG"), { fatal: true });
      end(server.sessions.at(-1), core(lease.connection));
      await hanging;
      await lease.close();
      await one.use((connection) => query(connection, "SELECT 1"));
      assert.equal(one.stats().opened, 2);
      await one.close();
    }
  });

  test(`${name}: an ordinary error costs no caller a connection, nor does that of another service`, async () => {
    const one = pool();
    for (const code of [1064, 1213, 1317])
      await assert.rejects(
        one.use((connection) => query(connection, `FAIL ${code}`)),
        { errno: code },
      );
    for (const code of ["ECONNREFUSED", "ECONNRESET"])
      await assert.rejects(
        one.use(() => Promise.reject(Object.assign(new Error(code), { code }))),
        { code },
      );
    await one.use((connection) => query(connection, "SELECT 1"));
    assert.equal(one.stats().opened, 1);
    await one.close();
  });

  test(`${name}: a connection that its caller ended is not handed to the next one`, async () => {
    for (const resetOnReturn of ["rollback", "session", "commit", "none"]) {
      for (const member of ["end", "destroy"]) {
        const one = pool({ resetOnReturn });
        const failed = [];
        one.on("error", (error) => void failed.push(error));
        // The promise of end() resolves before the socket is closed.
        await one.use((connection) => (name === "promises" ? connection[member]() : void connection[member]()));
        await one.use((connection) => query(connection, "SELECT 1"));
        assert.deepEqual([one.stats().opened, one.stats().invalidated, failed], [2, 1, []]);
        await one.close();
      }
    }
  });

  test(`${name}: a ping says whether the server answers`, async () => {
    const connection = await open();
    assert.equal(await mysql2.doPing(connection), true);
    assert.deepEqual(server.sessions[0].received, ["ping"]);
    mysql2.doTerminate(connection);
    assert.equal(await mysql2.doPing(connection), false);
  });

  test(`${name}: a detached connection that dies does not end the process`, async () => {
    const one = pool();
    const lease = await one.connect();
    await lease.detach();
    const closed = once(core(lease.connection).stream, "close").catch(() => {});
    server.sessions[0].reset();
    await closed;
    core(lease.connection).emit("error", new Error("one more"));
    await lease.close();
    await one.close();
  });
}

test("errno 4031 ends a session of MySQL, and is a missing trigger in MariaDB", async () => {
  const greetings = {
    MySQL: { answer: "connection" },
    "MariaDB by its version": { greeting: { serverVersion: "5.5.5-10.11.19-MariaDB" }, answer: false },
    // Without CLIENT_MYSQL.
    "MariaDB by its capabilities": { greeting: { serverVersion: "8.0.30", capabilityFlags: 0xa68c }, answer: false },
  };
  for (const [what, { greeting, answer }] of Object.entries(greetings)) {
    const other = await startScriptedMysql(greeting);
    const connection = await promises.createConnection(other.options);
    const error = await connection.query("FAIL 4031").catch((failure) => failure);
    assert.deepEqual([error.errno, mysql2.isDisconnect(error, connection)], [4031, answer], what);
    await connection.end();
    await other.stop();
  }
});

test("of a connection whose answers cannot be read, a transaction is always taken for open", () => {
  const deaf = Object.assign(new EventEmitter(), { stream: new EventEmitter(), handlePacket: undefined });
  mysql2.onDisconnect(deaf, () => {});
  assert.equal(mysql2.inTransaction(deaf), true);
});

test("a statement that was prepared and not executed leaves the transaction unknown", async () => {
  // The scripted server does not prepare: these are the packets of a real one.
  const connection = Object.assign(new EventEmitter(), {
    stream: new EventEmitter(),
    _command: null,
    handlePacket(packet) {
      if (packet?.isLast) this._command = null;
    },
  });
  mysql2.onDisconnect(connection, () => {});
  const answer = (command, ...bytes) => {
    connection._command = command;
    connection.handlePacket();
    const buffer = Uint8Array.from([0, 0, 0, 1, ...bytes]);
    connection.handlePacket({ buffer, start: 0, end: buffer.length, isLast: true });
    return mysql2.inTransaction(connection);
  };
  const read = () => {};
  const query = { next: read, resultsetHeader: read, sql: "SELECT 1" };
  const rows = { next: read, row: read, resultsetHeader: () => {}, sql: "SELECT 1" };
  const prepare = { next: read, prepareHeader: read };
  const answers = {
    "OK outside": [answer(query, 0, 0, 0, 2, 0, 0, 0), false],
    "OK inside": [answer(query, 0, 0, 0, 3, 0, 0, 0), true],
    "OK of many rows": [answer(query, 0, 0xfc, 9, 9, 0xfd, 9, 9, 9, 2, 0, 0, 0), false],
    "OK of very many rows, inside": [answer(query, 0, 0xfe, 9, 9, 9, 9, 9, 9, 9, 9, 9, 3, 0, 0, 0), true],
    "OK without a status": [answer(query, 0, 0, 0), true],
    "end of rows, outside": [answer(rows, 0xfe, 0, 0, 2, 0), false],
    "end of rows, inside": [answer(rows, 0xfe, 0, 0, 3, 0), true],
    "end of rows of an old server": [answer(rows, 0xfe), true],
    "a row that looks like an OK packet": [answer(rows, 0, 0, 0, 2, 0, 0, 0), true],
    "a value of 16 MB that looks like the end": [answer(rows, 0xfe, 0, 0, 2, 0, 0, 0, 0, 0), true],
    "an error": [answer(query, 0xff, 0, 0, 2, 0, 0, 0), true],
    "a prepared statement": [answer(prepare, 0, 1, 0, 0, 0, 0, 0, 0, 0), true],
  };
  for (const [what, [actual, expected]] of Object.entries(answers)) assert.equal(actual, expected, what);
});

test("the documented runQuery gives a Durable Object the rows of a SELECT and the count of a change", async () => {
  const [, source] = /```js\n(async function runQuery[^]*?)```/.exec(
    readFileSync(new URL("../../../docs/durable-objects.md", import.meta.url), "utf8"),
  );
  const load = (code) => import(`data:text/javascript,${encodeURIComponent(code)}`);
  const { runQuery } = await load(`export ${source}`);
  // What a Durable Object does with the answer. Only workerd can import the entry that has it.
  const entry = join(root, "src", "shell", "durable-object", "run-query.ts");
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, write: false, format: "esm" });
  const { plainResult } = await load(outputFiles[0].text);
  const connection = await promises.createConnection(server.options);
  const select = plainResult(await runQuery(connection, "SELECT 7 AS id", [], {}));
  assert.deepEqual([select.rows, select.rowCount], [[{ id: 7 }], 1]);
  const change = plainResult(await runQuery(connection, "UPDATE things SET name = 'a'", [], {}));
  assert.deepEqual([change.rows, typeof change.rowCount], [[], "number"]);
  await connection.end();
});

test("a connection of mysql2's own pool is closed, and leaves that pool", async () => {
  const own = { callbacks: callbacks.createPool(server.options), promises: promises.createPool(server.options) };
  const creators = {
    callbacks: () => promisify(own.callbacks.getConnection).call(own.callbacks),
    promises: () => own.promises.getConnection(),
  };
  for (const [style, creator] of Object.entries(creators)) {
    server.sessions.length = 0;
    const pool = new QueuePool(creator, { dialect: mysql2 });
    await pool.use((connection) => styles[style].query(connection, "SELECT 1"));
    await pool.close({ timeout: "2s" });
    assert.equal(server.sessions[0].received.at(-1), "quit");
    // A new session, since the old one is gone.
    await pool.recreate().use((connection) => styles[style].query(connection, "SELECT 2"));
    assert.equal(server.sessions.length, 2);
  }
  own.callbacks.end(() => {});
  await own.promises.end();
});
