// A MySQL server whose answers are scripted, on mysql2's own server protocol: real sockets, real packets.

import { once } from "node:events";
import mysql from "mysql2";

/** Every capability that this server can keep: none of compression, TLS, plugins or session tracking. */
const capabilities = 0x0000_a68d;

/** The code of COM_RESET_CONNECTION, which mysql2's server does not know. */
const resetConnection = 0x1f;

/** Starts a server on a free port of this machine. `sessions` are in the order of their opening. */
export async function startScriptedMysql() {
  const server = mysql.createServer();
  const sessions = [];
  server.on("connection", (connection) => {
    const session = new Session(connection, sessions.length + 1);
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

  constructor(connection, id) {
    this.#connection = connection;
    // Also after an error of the socket: a client that is destroyed resets it.
    this.closed = new Promise((resolve) => connection.stream.once("close", resolve));
    connection.on("error", () => {});
    connection.on("query", (text) => this.#answer(text));
    // mysql2's server takes SET for the preparation of a statement.
    connection.on("stmt_prepare", (text) => this.#answer(text));
    connection.on("packet", (packet, isKnown, code) => {
      if (code === resetConnection) this.received.push("reset");
      if (code === resetConnection) this.#say("writeOk");
    });
    connection.on("ping", () => (this.received.push("ping"), this.#say("writeOk")));
    connection.on("quit", () => (this.received.push("quit"), connection.stream.end()));
    connection.serverHandshake({
      protocolVersion: 10,
      serverVersion: "8.4.0-scripted",
      connectionId: id,
      statusFlags: 2,
      characterSet: 45,
      capabilityFlags: capabilities,
      authCallback: () => this.#say("writeOk"),
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
   * 7 AS id` answers that row, and a question for a collation answers `names`; all else succeeds.
   */
  #answer(text) {
    this.received.push(text);
    const [, code, close] = /^FAIL (\d+)( AND CLOSE)?$/.exec(text) ?? [];
    if (text === "HANG") return;
    if (text === "SELECT 7 AS id") return this.#sayRow({ id: 7 });
    if (text.includes("COLLATIONS")) return this.#sayRow(this.names);
    if (code === undefined) return this.#say("writeOk");
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
    this.#connection.writeTextResult([row], columns);
    this.#connection.sequenceId = 0;
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
