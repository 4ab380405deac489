// What the dialect says of the transaction without asking the server, against what the server says of itself.

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { mysql2, onMariadb, until } from "../watched-mariadb.mjs";

const schema = [
  "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(40)) ENGINE=InnoDB",
  "CREATE TABLE parts (id INT PRIMARY KEY, thing INT, FOREIGN KEY (thing) REFERENCES things (id)) ENGINE=InnoDB",
  "CREATE TABLE plain (id INT) ENGINE=MyISAM",
  "INSERT INTO things SELECT seq, CONCAT('thing ', seq) FROM seq_1_to_1000",
  "CREATE PROCEDURE begins() BEGIN START TRANSACTION; INSERT INTO things VALUES (5001, 'by a procedure'); END",
  "CREATE PROCEDURE begins_and_fails() BEGIN START TRANSACTION; SELECT * FROM nowhere; END",
  "CREATE PROCEDURE two_results() BEGIN SELECT 1 AS one; SELECT 2 AS two; END",
  "CREATE PROCEDURE whole() BEGIN START TRANSACTION; DELETE FROM plain; COMMIT; END",
  "CREATE PROCEDURE sets() SET TRANSACTION READ ONLY",
  "CREATE FUNCTION doubled(a INT) RETURNS INT DETERMINISTIC RETURN a * 2",
];

/** Each list is of one connection: statements in their order. Those in an object are of another call. */
const programs = {
  "reads and changes outside": [
    "SELECT 1",
    "SELECT ''",
    "SELECT * FROM things WHERE id = 1",
    "SELECT * FROM things",
    "SELECT * FROM things WHERE id < 0",
    "SELECT doubled(4)",
    "SHOW TABLES",
    "SHOW WARNINGS",
    "EXPLAIN SELECT * FROM things",
    "INSERT INTO things VALUES (2000, 'new')",
    "UPDATE things SET name = 'same' WHERE id > 100",
    "DELETE FROM things WHERE id = 2000",
    "INSERT INTO things VALUES (1, 'double')",
    "INSERT IGNORE INTO things VALUES (1, 'double')",
    "INSERT INTO plain VALUES (1)",
    "REPLACE INTO things VALUES (1, 'one')",
    "DO 1",
    "SET @variable = 1",
    "USE shop",
    "CREATE OR REPLACE TABLE made (id INT)",
    "ALTER TABLE made ADD COLUMN name TEXT",
    "TRUNCATE made",
    "DROP TABLE made",
    "COMMIT",
    "ROLLBACK",
    "SELECT * FROM nowhere",
    "SELECT 2",
  ],
  transactions: [
    "BEGIN",
    "SELECT * FROM things WHERE id = 2",
    "UPDATE things SET name = 'two' WHERE id = 2",
    "SAVEPOINT here",
    "INSERT INTO things VALUES (3000, 'new')",
    "INSERT INTO things VALUES (3000, 'double')",
    "SELECT 3",
    "ROLLBACK TO SAVEPOINT here",
    "RELEASE SAVEPOINT here",
    "COMMIT",
    "START TRANSACTION READ ONLY",
    "SELECT * FROM things WHERE id = 3",
    "INSERT INTO things VALUES (3001, 'refused')",
    "COMMIT",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    "ROLLBACK AND CHAIN",
    "SELECT 4",
    "ROLLBACK",
    "BEGIN",
    "BEGIN",
    "INSERT INTO parts VALUES (1, 9999)",
    "CREATE OR REPLACE TABLE made (id INT)",
    "BEGIN",
    "LOCK TABLES things READ",
    "UNLOCK TABLES",
    "BEGIN",
    "INSERT INTO plain VALUES (2)",
    "ROLLBACK",
  ],
  "without autocommit": [
    "SET autocommit = 0",
    "SELECT 1",
    "SELECT * FROM things WHERE id = 4",
    "COMMIT",
    "SELECT * FROM nowhere",
    "INSERT INTO things VALUES (4000, 'new')",
    "ROLLBACK",
    "SET autocommit = 1",
  ],
  "procedures and dynamic statements": [
    "CALL two_results()",
    "CALL whole()",
    "CALL begins()",
    "SELECT 5",
    "ROLLBACK",
    "CALL begins_and_fails()",
    "SELECT 6",
    "ROLLBACK",
    "EXECUTE IMMEDIATE 'BEGIN NOT ATOMIC START TRANSACTION; END'",
    "ROLLBACK",
    "PREPARE begin FROM 'SELECT * FROM things WHERE id = 5 FOR UPDATE'",
    "BEGIN",
    "EXECUTE begin",
    "COMMIT",
    "BEGIN NOT ATOMIC START TRANSACTION; END",
    "ROLLBACK",
  ],
  XA: [
    "XA START 'a'",
    "INSERT INTO things VALUES (6000, 'new')",
    "ROLLBACK",
    "XA END 'a'",
    "XA PREPARE 'a'",
    "XA ROLLBACK 'a'",
    "XA START 'b'",
    "XA END 'b'",
    "XA COMMIT 'b' ONE PHASE",
  ],
  "several statements in one": [
    "SELECT 1; BEGIN; SELECT 2",
    "SELECT 3; ROLLBACK",
    "BEGIN; SELECT * FROM nowhere; ROLLBACK",
    "ROLLBACK; SELECT 4; SELECT * FROM things",
    "BEGIN; INSERT INTO things VALUES (7000, 'new'); COMMIT; SET @a = 1",
    "CALL two_results(); CALL begins()",
    "ROLLBACK",
  ],
};

/** What the dialect may take for a transaction though none is open, beside what follows an error. */
const cautious = /^(CALL|EXECUTE)/;

await onMariadb(({ test, flavour, open, pool, core, query, call, isInTransaction }) => {
  const opened = async (options = {}) => {
    const connection = await open({ multipleStatements: true, ...options });
    const unwatch = mysql2.onDisconnect(connection, () => {});
    const end = async () => {
      unwatch();
      core(connection).stream.destroy();
    };
    return { connection, end };
  };
  const says = (connection) => mysql2.inTransaction(connection);

  test("what the dialect says of a transaction is what the server says, or more careful", async (t) => {
    // mysql2 warns of each packet of a second result under compression, and reads it well.
    if (flavour === "compression") t.mock.method(console, "error", () => {});
    let count = 0;
    for (const method of ["query", "execute"]) {
      for (const [program, statements] of Object.entries(programs)) {
        const { connection, end } = await opened();
        for (const statement of statements) {
          const failure = await call(connection, method, statement).then(
            () => undefined,
            (error) => error,
          );
          // Not every statement can be prepared, and execute() takes one at a time.
          if (method === "execute" && [1064, 1295].includes(failure?.errno))
            await query(connection, statement).catch(() => {});
          const said = says(connection);
          const isOpen = await isInTransaction(connection);
          count++;
          const what = `${program}: ${statement}`;
          if (isOpen) assert.equal(said, true, `${what}: a transaction is open`);
          else if (failure === undefined && !cautious.test(statement))
            assert.equal(said, false, `${what}: none is open`);
        }
        await query(connection, "ROLLBACK").catch(() => {});
        await query(connection, "DELETE FROM things WHERE id > 1000").catch(() => {});
        await end();
      }
    }
    assert.ok(count > 180, `${count} statements`);
  });

  test("while statements are under way a transaction is taken for open, and after them it is known", async () => {
    const { connection, end } = await opened();
    const begun = ["SELECT 1", "BEGIN", "SELECT * FROM things", "COMMIT", "SELECT 2"].map((text) =>
      query(connection, text),
    );
    for (const answer of begun) {
      assert.equal(says(connection), true);
      await answer;
    }
    assert.equal(says(connection), false);
    const left = [query(connection, "COMMIT"), query(connection, "BEGIN")];
    await Promise.all(left);
    assert.equal(says(connection), true);
    await end();
  });

  test("prepared statements, one that is dropped for another, pings and resets leave the state known", async () => {
    const { connection, end } = await opened({ maxPreparedStatements: 1 });
    for (const text of ["SELECT 1", "SELECT 2", "SELECT 1"]) {
      await call(connection, "execute", text);
      assert.equal(says(connection), false, text);
    }
    await new Promise((resolve, reject) =>
      core(connection).prepare("SELECT name FROM things WHERE id = ?", (error, statement) => {
        if (error) return reject(error);
        assert.equal(says(connection), true, "prepared, and not executed");
        statement.execute([1], (failure) => (failure ? reject(failure) : resolve()));
      }),
    );
    assert.equal(says(connection), false);
    for (const method of ["ping", "reset"]) {
      await call(connection, method);
      assert.equal(says(connection), false, method);
    }
    await query(connection, "BEGIN");
    await call(connection, "ping");
    assert.equal(says(connection), true);
    await call(connection, "reset");
    assert.equal(says(connection), false);
    await end();
  });

  test("row streams and the lines of a file leave the state known", async () => {
    const { connection, end } = await opened();
    const infileStreamFactory = () => Readable.from([Buffer.from("1\n2\n3\n")]);
    await query(connection, { sql: "LOAD DATA LOCAL INFILE 'lines' INTO TABLE plain", infileStreamFactory });
    assert.equal(says(connection), false);
    for (const begin of ["", "BEGIN"]) {
      if (begin !== "") await query(connection, begin);
      let rows = 0;
      for await (const _row of core(connection).query("SELECT * FROM things").stream()) rows++;
      assert.ok(rows >= 1000);
      assert.equal(says(connection), begin !== "");
      for await (const _row of core(connection).query("SELECT * FROM things").stream()) break;
      await until(() => !core(connection)._command, "the rest is read");
      assert.equal(says(connection), begin !== "");
    }
    await end();
  });

  test("a clean return sends nothing, and an open transaction or an error a ROLLBACK", async () => {
    const { pool: one, statements } = pool("clean", { poolSize: 1, maxOverflow: 0 });
    const sent = async (...texts) => {
      await one.use(async (connection) => {
        for (const text of texts) await query(connection, text).catch(() => {});
      });
      await one.use(() => {});
      return statements.splice(0).slice(texts.length);
    };
    await sent("SELECT 1");
    assert.deepEqual(await sent("SELECT 1"), []);
    assert.deepEqual(await sent("SELECT * FROM things WHERE id = 1"), []);
    assert.deepEqual(await sent("UPDATE things SET name = 'new' WHERE id = 1"), []);
    assert.deepEqual(await sent("BEGIN", "UPDATE things SET name = 'newer' WHERE id = 1", "COMMIT"), []);
    assert.deepEqual(await sent("BEGIN", "UPDATE things SET name = 'newest' WHERE id = 1"), ["ROLLBACK"]);
    assert.deepEqual(await sent("SELECT * FROM nowhere"), ["ROLLBACK"]);
    assert.deepEqual(await sent("CALL begins()"), ["ROLLBACK"]);
    await one.close();
  });

  test("what was set for the next transaction alone does not reach the next borrower", async () => {
    const { pool: one } = pool("next", { poolSize: 1, maxOverflow: 0 });
    const leaves = [
      ["SET TRANSACTION READ ONLY"],
      ["SET TRANSACTION READ ONLY", "SELECT 1", "SELECT * FROM things WHERE id = 1"],
      ["SET @@tx_read_only = 1"],
      ["CALL sets()"],
      ["EXECUTE IMMEDIATE 'SET TRANSACTION READ ONLY'"],
      ["PREPARE sets FROM 'SET TRANSACTION READ ONLY'", "EXECUTE sets"],
      ["BEGIN NOT ATOMIC SET TRANSACTION READ ONLY; END"],
      ["BEGIN NOT ATOMIC CALL sets(); END"],
      ["IF 1 THEN CALL sets(); END IF"],
      ["CALL/**/sets()"],
      ["CALL`sets`()"],
      ["/*!50000 CALL sets()*/"],
      ["SET /* why */ TRANSACTION READ ONLY"],
      ["SET STATEMENT max_statement_time = 9 FOR CALL sets()"],
    ];
    for (const statements of leaves) {
      await one.use(async (connection) => {
        for (const text of statements) await query(connection, text);
      });
      await one.use((connection) => query(connection, "UPDATE things SET name = 'new' WHERE id = 1"));
    }
    await one.close();
  });
}, schema);
