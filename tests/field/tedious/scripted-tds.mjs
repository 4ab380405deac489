// A server of TDS, the protocol of SQL Server, as far as the dialect of tedious needs one. No SQL Server runs here.
// This one answers as the specification MS-TDS has it. It knows transactions, WAITFOR, attentions, and the flag for a
// reset.

import { createServer } from "node:net";

const type = { batch: 1, login: 16, transaction: 14, attention: 6, prelogin: 18, answer: 4 };
const isLast = 1;
const resets = 8;

const text = (string) => Buffer.concat([Buffer.of(string.length), Buffer.from(string, "ucs2")]);

const token = (id, body) => {
  const head = Buffer.alloc(3);
  head[0] = id;
  head.writeUInt16LE(body.length, 1);
  return Buffer.concat([head, body]);
};

const done = (status = 0) => Buffer.from([0xfd, status, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
const attentionStatus = 0x20;
const errorStatus = 2;

const loginAck = token(
  0xad,
  Buffer.concat([Buffer.from([1, 0x74, 0, 0, 4]), text("scripted"), Buffer.of(16, 0, 0, 0)]),
);

/** A transaction begins (8), is committed (9) or rolled back (10). */
const transactionChange = (kind) => {
  const id = Buffer.from([8, 1, 2, 3, 4, 5, 6, 7, 8]);
  return token(0xe3, Buffer.concat([Buffer.of(kind), ...(kind === 8 ? [id, Buffer.of(0)] : [Buffer.of(0), id])]));
};

const failure = (number, message) => {
  const body = Buffer.alloc(6);
  body.writeUInt32LE(number, 0);
  body.set([1, 16], 4);
  const words = Buffer.alloc(2);
  words.writeUInt16LE(message.length, 0);
  return token(
    0xaa,
    Buffer.concat([body, words, Buffer.from(message, "ucs2"), text("scripted"), text(""), Buffer.from([1, 0, 0, 0])]),
  );
};

/** Says that encryption is not supported. */
const preloginAnswer = Buffer.from([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 255, 16, 0, 0, 0, 0, 0, 2]);

/** Starts a server. `log` has what each session was asked, as a text. */
export async function startTds() {
  const sessions = new Set();
  const server = createServer((socket) => {
    const session = new Session(socket);
    sessions.add(session);
    socket.on("close", () => sessions.delete(session)).on("error", () => {});
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  return {
    port: /** @type {import("node:net").AddressInfo} */ (server.address()).port,
    sessions,
    log: Session.log,
    /** Ends every session: as a server that restarts, or, reset, as a network that fails. */
    cut: (reset = false) => [...sessions].forEach(({ socket }) => (reset ? socket.resetAndDestroy() : socket.end())),
    async stop() {
      for (const { socket } of sessions) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class Session {
  static log = [];
  isOpen = false;
  /** Whether its transaction belongs to a statement that runs for ever. */
  waits = false;
  #bytes = Buffer.alloc(0);
  #message = [];

  constructor(socket) {
    this.socket = socket;
    socket.on("data", (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      while (this.#bytes.length >= 8 && this.#bytes.length >= this.#bytes.readUInt16BE(2)) {
        const length = this.#bytes.readUInt16BE(2);
        this.#message.push(this.#bytes.subarray(8, length));
        const [kind, status] = this.#bytes;
        this.#bytes = this.#bytes.subarray(length);
        if ((status & isLast) === 0) continue;
        const message = Buffer.concat(this.#message.splice(0));
        this.#take(kind, message, (status & resets) !== 0);
      }
    });
  }

  #answer(...tokens) {
    const body = Buffer.concat(tokens);
    const head = Buffer.from([type.answer, isLast, 0, 0, 0, 0, 1, 0]);
    head.writeUInt16BE(body.length + 8, 2);
    this.socket.write(Buffer.concat([head, body]));
  }

  #take(kind, message, isReset) {
    if (kind === type.prelogin) return this.#answer(preloginAnswer);
    if (kind === type.login) return this.#answer(loginAck, done());
    if (kind === type.attention) {
      if (this.waits) this.#answer(done(errorStatus));
      this.waits = false;
      return this.#answer(done(attentionStatus));
    }
    const rest = message.subarray(message.readUInt32LE(0));
    if (kind === type.transaction) {
      const name = { 5: "begin", 7: "commit", 8: "rollback" }[rest.readUInt16LE(0)];
      Session.log.push(name);
      return this.#end(name);
    }
    const statement = rest.toString("ucs2").trim();
    // tedious sets up its session in many lines.
    Session.log.push(isReset ? "reset" : statement.startsWith("set ") ? "initial" : statement);
    if (isReset) this.isOpen = false;
    if (/^waitfor/i.test(statement)) return void (this.waits = true);
    if (/^nonsense/i.test(statement)) return this.#answer(failure(102, "Incorrect syntax"), done(errorStatus));
    const [, word] = /^(begin|commit|rollback) tran/i.exec(statement) ?? [];
    return this.#end(word?.toLowerCase());
  }

  #end(word) {
    const kind = { begin: 8, commit: 9, rollback: 10 }[word];
    if (kind === undefined || (kind === 8 && this.isOpen)) return this.#answer(done());
    if (kind !== 8 && !this.isOpen) {
      const number = kind === 9 ? 3902 : 3903;
      return this.#answer(failure(number, "has no corresponding BEGIN TRANSACTION"), done(errorStatus));
    }
    this.isOpen = kind === 8;
    this.#answer(transactionChange(kind), done());
  }
}
