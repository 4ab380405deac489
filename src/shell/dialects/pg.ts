/**
 * The dialect of node-postgres (`pg`), for its Client: reset by ROLLBACK, skipped when the server last reported that no
 * transaction is open. Imports nothing of pg.
 */

import type { Dialect } from "../dialect.js";

/** What this dialect needs of a `pg.Client`. */
export interface PgClient {
  query(text: string): Promise<unknown>;
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
}

/** What a client knows beyond its public types. */
interface ClientState {
  readyForQuery?: boolean;
  _ending?: boolean;
  getTransactionStatus?(): "I" | "T" | "E" | null;
  connection?: { stream?: { destroy?(): void } };
}

/** SQLSTATE classes and codes after which the server has ended, or will end, the session. */
const disconnectStates = /^(08...|57P0[1-5])$/;

/** Errors of the socket, by Node's code. */
const networkCodes = new Set(["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "ECONNABORTED"]);

/** What pg itself says of a client whose socket is gone; it gives these no code. */
const clientMessages = /^(Connection terminated|Client has encountered a connection error|Client was closed|Connection ended unexpectedly)/;

const ignore = (): void => {};

/** For `new QueuePool(() => connectedClient(), { dialect: pg })`, where the creator returns a connected `pg.Client`. */
export const pg: Dialect<PgClient> = {
  name: "pg",

  doRollback: (client) => client.query("ROLLBACK"),

  doCommit: (client) => client.query("COMMIT"),

  doClose: (client) => client.end(),

  /** Destroys the socket: the server rolls back and ends the session on its own. */
  doTerminate(client) {
    const stream = (client as ClientState).connection?.stream;
    // What pg reports of a socket that we destroyed is no news; unheard it would end the process.
    client.on("error", ignore);
    if (stream?.destroy) stream.destroy();
    else void client.end().catch(ignore);
  },

  async doPing(client) {
    try {
      await client.query("SELECT 1");
      return true;
    } catch (error) {
      if (isDisconnect(error)) return false;
      throw error;
    }
  },

  isDisconnect,

  /** A query under way may open a transaction that the server has not reported yet: then it counts as open. */
  inTransaction(client) {
    const { readyForQuery, getTransactionStatus } = client as ClientState;
    if (getTransactionStatus === undefined || readyForQuery !== true) return true;
    return (client as ClientState).getTransactionStatus?.() !== "I";
  },

  /** Without a listener an idle client's error ends the process. */
  onDisconnect(client, died) {
    const onError = (error: Error): void => died(error);
    const onEnd = (): void => died(new Error("the server closed the connection"));
    client.on("error", onError);
    client.on("end", onEnd);
    return () => {
      client.on("error", ignore);
      client.removeListener("error", onError);
      client.removeListener("end", onEnd);
    };
  },
};

function isDisconnect(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code === "string") return disconnectStates.test(code) || networkCodes.has(code);
  return typeof message === "string" && clientMessages.test(message);
}

export default pg;
