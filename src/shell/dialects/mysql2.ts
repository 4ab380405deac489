/**
 * The dialect of mysql2, for its Connection of callbacks and its Connection of promises: reset by ROLLBACK at every
 * return, because mysql2 does not keep what the server reports about transactions. Imports nothing of mysql2.
 */

import type { Dialect } from "../dialect.js";

/** What this dialect needs of a connection of `mysql2` or `mysql2/promise`. */
export interface Mysql2Connection {
  on(event: string, listener: (...args: any[]) => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
  end(...args: any[]): unknown;
  destroy(): void;
}

type Emitter = Pick<Mysql2Connection, "on" | "removeListener">;

type Callback = (error?: unknown) => void;

/** The connection of callbacks, with what it has beyond its public types. */
interface Core extends Mysql2Connection {
  rollback(callback: Callback): void;
  commit(callback: Callback): void;
  ping(callback: Callback): void;
  end(callback: Callback): void;
  stream: Emitter & { destroyed: boolean; destroy(): void };
}

/**
 * Errors after which the server ends the session, by number: ER_SERVER_SHUTDOWN, ER_FORCING_CLOSE,
 * ER_ABORTING_CONNECTION, ER_NEW_ABORTING_CONNECTION, ER_CONNECTION_KILLED (MariaDB), ER_SESSION_WAS_KILLED,
 * ER_CLIENT_INTERACTION_TIMEOUT. Not 1317: it also comes of KILL QUERY, which leaves the connection.
 */
const sessionEnds = new Set([1053, 1080, 1152, 1184, 1927, 3169, 4031]);

const ignore = (): void => {};

/** A connection of promises stands before one of callbacks. */
function coreOf(connection: Mysql2Connection): Core {
  return (connection as { connection?: Core }).connection ?? (connection as Core);
}

function ask(connection: Mysql2Connection, call: "rollback" | "commit" | "ping"): Promise<void> {
  return new Promise((resolve, reject) => coreOf(connection)[call]((error) => (error ? reject(error) : resolve())));
}

/**
 * For `new QueuePool(() => createConnection(url), { dialect: mysql2 })`, with `createConnection` of `mysql2/promise`.
 */
export const mysql2: Dialect<Mysql2Connection> = {
  name: "mysql2",

  doRollback: (connection) => ask(connection, "rollback"),

  doCommit: (connection) => ask(connection, "commit"),

  /** Is over when the socket is: mysql2's own `end` answers before its goodbye is sent. */
  doClose(connection) {
    const core = coreOf(connection);
    core.on("error", ignore);
    return new Promise<void>((resolve) => {
      if (core.stream.destroyed) return resolve();
      core.stream.on("close", resolve);
      // Refused if the connection is closing already, which may wait for the server.
      core.end((refusal) => {
        if (refusal) core.stream.destroy();
      });
    });
  },

  /** Destroys the socket. mysql2's own `destroy` waits for the server, and answers no query that is under way. */
  doTerminate(connection) {
    const core = coreOf(connection);
    core.on("error", ignore);
    core.stream.destroy();
  },

  async doPing(connection) {
    try {
      await ask(connection, "ping");
      return true;
    } catch (error) {
      if (isDisconnect(error)) return false;
      throw error;
    }
  },

  isDisconnect,

  /**
   * mysql2 reports a socket that fails either to the statement under way, or as "error", which without a listener ends
   * the process.
   */
  onDisconnect(connection, died) {
    const core = coreOf(connection);
    const onError = (error: unknown): void => died(error);
    const onEnd = (): void => died(new Error("the server closed the connection"));
    const watched: [Emitter, string, (error: unknown) => void][] = [
      [core, "error", onError],
      [core, "end", onEnd],
      [core.stream, "error", onError],
      [core.stream, "close", onEnd],
    ];
    for (const [emitter, event, listener] of watched) emitter.on(event, listener);
    return () => {
      core.on("error", ignore);
      for (const [emitter, event, listener] of watched) emitter.removeListener(event, listener);
    };
  },
};

/** mysql2 marks every error of the socket or of a broken protocol as fatal. */
function isDisconnect(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { fatal, errno } = error as { fatal?: unknown; errno?: unknown };
  return fatal === true || sessionEnds.has(errno as number);
}

export default mysql2;
