/**
 * Recognises the connection of a driver by its members, which a bundler does not rename, and refuses what a dialect
 * cannot use. It asks only whether a member is there, so it runs no code of a driver. Imports no driver.
 */

/** `label`: what has all of the members. `dialect`: that of the connection, or empty if there is none. */
type Driver = readonly [label: string, dialect: string, ...members: string[]];

/** The first that fits names the driver: libsql has the members of better-sqlite3. */
const drivers: readonly Driver[] = [
  ["a Client of pg", "pg", "connectionParameters", "query"],
  ["a Connection of mysql2", "mysql2", "changeUser", "unprepare"],
  ["a Connection of mariadb", "mariadb", "changeUser", "importFile"],
  ["a PGlite", "pglite", "execProtocol", "runExclusive"],
  ["a Database of libsql", "libsql", "pragma", "syncUntil"],
  ["a Database of better-sqlite3", "better-sqlite3", "pragma", "unsafeMode"],
  ["a DatabaseSync of node:sqlite", "node-sqlite", "applyChangeset", "createSession"],
  ["a DB of sqlite-wasm", "sqlite-wasm", "affirmOpen", "selectValue"],
  ["a Redis of ioredis", "ioredis", "defineCommand", "commandQueue"],
  ["a client of redis", "redis", "isReady", "sendCommand"],
  ["a Connection of tedious", "tedious", "execSqlBatch", "callProcedure"],
  ["a Connection of mysql", "", "changeUser", "_protocol"],
  ["a Connection of oracledb", "", "oracleServerVersion", "rollback"],
  ["a Database of sqlite3", "", "parallelize", "serialize"],
];

/** What has connections of its own, and other users perhaps: it is refused, and not closed. */
const pools: readonly Driver[] = [
  ["a Pool of pg", "", "totalCount", "waitingCount"],
  ["a pool of mysql2", "", "getConnection", "releaseConnection"],
  ["a pool of mariadb", "", "getConnection", "activeConnections"],
  ["a pool of oracledb", "", "getConnection", "poolAlias"],
  ["a pool of redis", "", "clientsInUse", "tasksQueueLength"],
  ["a Cluster of ioredis", "", "defineCommand", "nodes"],
  ["a ConnectionPool of mssql", "", "borrowed", "request"],
  ["a pool of generic-pool", "", "acquire", "isBorrowedResource"],
  ["a Pool of tarn", "", "acquire", "numPendingAcquires"],
  ["a pool of edgepool", "", "recreate", "useSync"],
  ["the sql of postgres.js", "", "unsafe", "typed"],
  ["the sql of @neondatabase/serverless", "", "unsafe", "transaction"],
  ["a client of @libsql/client", "", "executeMultiple", "protocol"],
  ["a MongoClient of mongodb", "", "startSession", "withSession"],
];

const ignore = (): void => {};

const isObject = (value: unknown): value is object =>
  (typeof value === "object" && value !== null) || typeof value === "function";

function fitting(known: readonly Driver[], value: object): Driver[] {
  return known.filter(([, , ...members]) => members.every((member) => member in value));
}

/**
 * Returns whether the connection is the driver's. Throws if it is another driver's, if it is a pool, or if `core` lacks
 * one of these methods, which the dialect calls. What nothing is known of passes: it may be a wrapper. `core`: what
 * stands behind the connection.
 */
export function expectDriver(
  dialect: string,
  connection: unknown,
  methods: readonly string[],
  core: unknown = connection,
): connection is object {
  if (!isObject(connection)) return refuse(dialect, connection, `${typeof connection} ${String(connection)}`);
  const [found] = fitting(drivers, connection);
  if (found?.[1] === dialect) return true;
  const [pool] = fitting(pools, connection);
  if (pool !== undefined) return refuse(dialect, undefined, pool[0]);
  if (found !== undefined) {
    const [label, theirs] = found;
    return refuse(
      dialect,
      connection,
      label,
      theirs === "" ? "there is no dialect for it" : `use edgepool/dialects/${theirs}`,
    );
  }
  const missing = methods.find((name) => !isObject(core) || typeof core[name as keyof object] !== "function");
  const what = typeof connection === "function" ? "a function" : "an object";
  // It may be what others use, too.
  if (missing !== undefined) refuse(dialect, undefined, `${what} without ${missing}()`);
  return false;
}

/** Returns a warning if the driver's connection lacks a member that came with this version, the oldest of the tests. */
export function warnIfOlder(driver: string, version: string, connection: object, member: string): string | undefined {
  return member in connection ? undefined : olderThan(driver, version);
}

export function olderThan(driver: string, version: string): string {
  return `this ${driver} is older than ${version}, the oldest version that its dialect is tested with`;
}

/** Closes the connection, and throws an error that names it. */
export function refuse(
  dialect: string,
  connection: unknown,
  given: string,
  remedy = `the creator must return ${drivers.find(([, own]) => own === dialect)?.[0]}`,
): never {
  void close(connection);
  throw new TypeError(`dialect "${dialect}" was given ${given}; ${remedy}`);
}

/** As far as that is possible: in the way of another driver, or before the connection is open. */
async function close(connection: unknown): Promise<void> {
  const closable = (connection ?? {}) as Partial<Record<"destroy" | "close" | "end", () => unknown>> & {
    on?(event: "error", listener: () => void): unknown;
  };
  try {
    // The error of a socket that no one listens to would end the process.
    closable.on?.("error", ignore);
    if (closable.destroy !== undefined) await closable.destroy();
    else if (closable.close !== undefined) await closable.close();
    else await closable.end?.();
  } catch {
    // The caller gets the reason for the refusal.
  }
}
