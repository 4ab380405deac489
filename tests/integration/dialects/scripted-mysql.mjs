// A MySQL server whose answers are scripted, on mysql2's own server protocol: real sockets, real packets.

import { once } from "node:events";
import mysql from "mysql2";

/** Every capability that this server can keep: none of compression, TLS, plugins or session tracking. */
const capabilities = 0x0000_a68d;

/** The code of COM_RESET_CONNECTION, which mysql2's server does not know. */
const resetConnection = 0x1f;

/** The bit of a server's status that says that a transaction is open, and the one for autocommit. */
const inTransaction = 1;
const autocommit = 2;

/**
 * Starts a server on a free port of this machine. `sessions` are in the order of their opening. `greeting`: what it
 * says of itself in place of a MySQL of version 8.4.
 */
export async function startScriptedMysql(greeting = {}) {
  const server = mysql.createServer();
  const sessions = [];
  server.on("connection", (connection) => {
    const session = new Session(connection, sessions.length + 1, greeting);
    sessions.push(session);
  });
  server.listen(0, "127.0.0.1");
  await once(server._server, "listening");
  return {
    sessions,
    options: { host: "127.0.0.1", port: server._server.address().port, user: "edgepool", database: "test" },
    async stop() {
      for (const session of sessions) session.cut();
      server.close();
      await once(server._server, "close");
    },
  };
}

/** What the server sees of one client. */
class Session {
  /** Statements, "ping", "reset" and "quit", in their order. */
  received = [];
  #connection;
  /** The character set of the connection, and whether the server keeps it through a reset. */
  names = { name: "utf8mb4", collation: "utf8mb4_unicode_ci", isKept: 0 };

  #isInTransaction = false;

  constructor(connection, id, greeting) {
    this.#connection = connection;
    // Also after an error of the socket: a client that is destroyed resets it.
    this.closed = new Promise((resolve) => connection.stream.once("close", resolve));
    connection.on("error", () => {});
    connection.on("query", (text) => this.#answer(text));
    // mysql2's server takes SET for the preparation of a statement.
    connection.on("stmt_prepare", (text) => this.#answer(text));
    connection.on("packet", (packet, isKnown, code) => {
      if (code !== resetConnection) return;
      this.received.push("reset");
      this.#isInTransaction = false;
      this.#sayOk();
    });
    connection.on("ping", () => (this.received.push("ping"), this.#sayOk()));
    connection.on("quit", () => (this.received.push("quit"), connection.stream.end()));
    connection.serverHandshake({
      protocolVersion: 10,
      serverVersion: "8.4.0-scripted",
      connectionId: id,
      statusFlags: 2,
      characterSet: 45,
      capabilityFlags: capabilities,
      authCallback: () => this.#sayOk(),
      ...greeting,
    });
  }

  /**
   * Answers, and expects a new command, which counts its packets from 0: mysql2's server does not begin again by
   * itself.
   */
  #say(packet, content) {
    this.#connection[packet](content);
    this.#connection.sequenceId = 0;
  }

  /**
   * `FAIL 1064` fails with that error, `HANG` is never answered, `FAIL 1053 AND CLOSE` is what a shutdown does, `SELECT
   * 7 AS id` answers that row, `SELECT ''` an empty text, `CHANGE 300` changes so many rows, and a question for a
   * collation answers `names`; all else succeeds. Each answer but an error has the state of the transaction.
   */
  #answer(text) {
    this.received.push(text);
    const [, code, close] = /^FAIL (\d+)( AND CLOSE)?$/.exec(text) ?? [];
    if (text === "HANG") return;
    if (/^(BEGIN|START TRANSACTION)/.test(text)) this.#isInTransaction = true;
    if (/^(COMMIT|ROLLBACK)$/.test(text)) this.#isInTransaction = false;
    if (text === "SELECT 7 AS id") return this.#sayRow({ id: 7 });
    if (text === "SELECT ''") return this.#sayRow({ text: "" });
    const [, changed] = /^CHANGE (\d+)$/.exec(text) ?? [];
    if (changed !== undefined) return this.#sayOk({ affectedRows: Number(changed), insertId: Number(changed) });
    if (text.includes("COLLATIONS")) return this.#sayRow(this.names);
    if (code === undefined) return this.#sayOk();
    this.#say("writeError", { code: Number(code), message: "scripted" });
    if (close !== undefined) this.#connection.stream.end();
  }

  /** Answers one row: numbers, and texts. */
  #sayRow(row) {
    const table = { catalog: "def", schema: "", table: "", orgTable: "", orgName: "", columnLength: 64, decimals: 0 };
    const columns = Object.entries(row).map(([name, value]) => {
      const isNumber = typeof value === "number";
      return { ...table, name, characterSet: isNumber ? 63 : 45, columnType: isNumber ? 3 : 253, flags: 0 };
    });
    this.#connection.writeColumns(columns);
    this.#connection.writeTextRow(Object.values(row));
    this.#connection.writeEof(0, this.#status);
    this.#connection.sequenceId = 0;
  }

  #sayOk(counts = {}) {
    this.#say("writeOk", { ...counts, serverStatus: this.#status });
  }

  get #status() {
    return autocommit | (this.#isInTransaction ? inTransaction : 0);
  }

  /** What the server says to an idle client before it closes. */
  sayGoodbye(code) {
    this.#say("writeError", { code, message: "scripted" });
    this.#connection.stream.end();
  }

  /** A server that ends without a word. */
  end() {
    this.#connection.stream.end();
  }

  /** A socket that is reset. */
  reset() {
    this.#connection.stream.resetAndDestroy();
  }

  cut() {
    this.#connection.stream.destroy();
  }

  /** From here on the server answers nothing, not even the end of the socket. */
  freeze() {
    this.#connection.stream.allowHalfOpen = true;
    this.#connection.stream.pause();
  }
}
