// Several SQLite connections in one thread: one that writes and others that read, beside one pool with busy_timeout.
// SQLite waits for a lock in the thread that would release it. So busy_timeout stops the process for its whole length,
// and then the statement fails.
//
// Needs Node 22.13 or later. Prints for both how many writes and reads there were, how many statements were refused,
// and for how long nothing else could run.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";
import { QueuePool } from "edgepool";
import { nodeSqlite } from "edgepool/dialects/node-sqlite";

const writers = 4;
const readers = 4;
const rounds = 3;
const busyTimeoutMs = 100;

/** Opens the pools of each arrangement: where transactions write, and where queries read. */
const arrangements = {
  "one pool, with busy_timeout": (path) => {
    const pool = new QueuePool(() => new DatabaseSync(path, { timeout: busyTimeoutMs }), {
      dialect: nodeSqlite,
      poolSize: 4,
      maxOverflow: 0,
    });
    return { writer: pool, reader: pool };
  },

  "one writer and several readers": (path) => ({
    // No other connection of this process asks for the write lock, so none waits for it.
    writer: new QueuePool(() => new DatabaseSync(path), { dialect: nodeSqlite, poolSize: 1, maxOverflow: 0 }),
    // With the journal mode "wal" they do not wait for the writer.
    reader: new QueuePool(() => new DatabaseSync(path, { readOnly: true }), {
      dialect: nodeSqlite,
      poolSize: 4,
      maxOverflow: 0,
    }),
  }),
};

/** A transaction that awaits something while it holds the write lock. */
async function deposit(writer) {
  await writer.use(async (database) => {
    database.exec("BEGIN IMMEDIATE");
    database.exec("UPDATE accounts SET balance = balance + 1 WHERE id = 1");
    await pause(2);
    database.exec("COMMIT");
  });
}

const balanceOf = (reader) =>
  reader.useSync((database) => database.prepare("SELECT balance FROM accounts WHERE id = 1").get().balance);

/** Runs the tasks of one arrangement. Returns what they did, and the longest time for which the loop stood still. */
async function run(open) {
  const folder = mkdtempSync(join(tmpdir(), "writer-and-readers-"));
  const path = join(folder, "app.db");
  const setUp = new DatabaseSync(path);
  setUp.exec(
    "PRAGMA journal_mode = WAL; CREATE TABLE accounts (id int, balance int); INSERT INTO accounts VALUES (1, 0)",
  );
  setUp.close();
  const { writer, reader } = open(path);
  const counts = { writes: 0, reads: 0, refused: 0, stoodStillMs: 0 };

  let last = performance.now();
  const watch = setInterval(() => {
    const now = performance.now();
    counts.stoodStillMs = Math.max(counts.stoodStillMs, Math.round(now - last));
    last = now;
  }, 1);

  const write = async () => {
    for (let round = 0; round < rounds; round++) {
      await deposit(writer).then(
        () => counts.writes++,
        () => counts.refused++,
      );
    }
  };
  const read = async () => {
    for (let round = 0; round < rounds; round++) {
      await pause(2);
      // Undefined if every reader is lent: a later round reads.
      const lease = reader.tryConnect();
      if (lease === undefined) continue;
      counts.reads++;
      lease.connection.prepare("SELECT balance FROM accounts WHERE id = 1").get();
      await lease.close();
    }
  };
  await Promise.all([...Array.from({ length: writers }, write), ...Array.from({ length: readers }, read)]);
  clearInterval(watch);
  const balance = balanceOf(reader);
  await Promise.all([writer.close(), reader.close()]);
  rmSync(folder, { recursive: true });
  return { ...counts, isSound: balance === counts.writes };
}

/** Runs both arrangements. Returns what each did, by its name. */
export async function compare() {
  const results = {};
  for (const [name, open] of Object.entries(arrangements)) results[name] = await run(open);
  return results;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await compare());
