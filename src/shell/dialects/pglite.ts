/**
 * The dialect of PGlite (`@electric-sql/pglite`): PostgreSQL in this process. Imports nothing of PGlite.
 *
 * Each PGlite is a database of its own, and a data directory bears one at a time: `poolSize: 1, maxOverflow: 0`.
 *
 * Without `inTransaction` and `isBusy`: PGlite says whether a transaction is open, but not whether a query is under way
 * that opens one. Its own queue takes a query a moment after the call, so it cannot be asked either.
 */

import type { Dialect } from "../dialect.js";
import { expectDriver, refuse, warnIfOlder } from "./drivers.js";

/** What this dialect needs of a PGlite, or of a PGliteWorker. */
export interface PgliteDatabase {
  readonly closed: boolean;
  exec(sql: string): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Makes the session as good as new. As in the dialect of pg, but with a ROLLBACK in any case: only PostgreSQL knows
 * whether a transaction will be open when it runs.
 */
const resetOfSession =
  "ROLLBACK; SET SESSION AUTHORIZATION DEFAULT; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); " +
  "DISCARD TEMP; DISCARD SEQUENCES; RESET ALL";

/** For `new QueuePool(() => PGlite.create(), { dialect: pglite, poolSize: 1, maxOverflow: 0 })`. */
export const pglite: Dialect<PgliteDatabase> = {
  name: "pglite",

  doCheck(database) {
    const isDrivers = expectDriver("pglite", database, ["exec", "close"]);
    if (database.closed === true) refuse("pglite", database, "a PGlite that is closed");
    // A PGliteWorker has neither member.
    return isDrivers && "Module" in database ? warnIfOlder("PGlite", "0.5", database, "copyToFS") : undefined;
  },

  /** A data directory bears one PGlite at a time, and one in memory is the whole database. */
  keepsSlotUntilClosed: true,

  doRollback: (database) => database.exec("ROLLBACK"),

  doCommit: (database) => database.exec("COMMIT"),

  doResetSession: (database) => database.exec(resetOfSession),

  doClose: close,

  /** There is no server to wait for, and until the close is over the next PGlite must not open the data directory. */
  doTerminate: close,

  async doPing(database) {
    try {
      // After a failure of its own PGlite may answer without a row.
      const [result] = (await database.exec("SELECT 1")) as Array<{ rows?: unknown[] }>;
      return result?.rows?.length === 1;
    } catch (error) {
      if (isDisconnect(error)) return false;
      throw error;
    }
  },

  isDisconnect,

  guarded: ["query", "sql", "exec", "transaction", "describeQuery", "listen", "unlisten", "runExclusive", "close"],
};

async function close(database: PgliteDatabase): Promise<void> {
  if (database.closed) return;
  try {
    await database.close();
  } catch (error) {
    // Its caller has begun to close it: that is the close to wait for.
    while (!database.closed && isDisconnect(error)) await pause();
    if (!database.closed) throw error;
  }
}

/** Does not keep the process. */
function pause(): Promise<void> {
  return new Promise((resolve) => (setTimeout(resolve, 10) as { unref?: () => void }).unref?.());
}

/** A PANIC ends the PostgreSQL in this process, as it would end a server. */
function isDisconnect(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { severity } = error as { severity?: unknown };
  return severity === "PANIC" || severity === "FATAL" || /^PGlite is (closed|closing)$/.test(error.message);
}

export default pglite;
