/**
 * The dialect of mysql2, for its Connection of callbacks and its Connection of promises: reset by ROLLBACK, skipped if
 * the last answer of the server said that no transaction is open. Imports nothing of mysql2.
 */

import type { Dialect } from "../dialect.js";
import { expectDriver, warnIfOlder } from "./drivers.js";
import { endOfSession, maySetNext } from "./mysql-server.js";

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
  /** Of a connection of mysql2's own pool, whose `end` only returns it there. */
  _realEnd?(callback: Callback): void;
  /** Sends COM_RESET_CONNECTION. Not in older versions. */
  reset?(callback: Callback): void;
  query(statement: string, values: unknown[], callback: (error: unknown, rows?: unknown) => void): void;
  stream: Emitter & { destroyed: boolean; destroy(): void };
  /** Not null since the socket failed, or since the server has closed it. */
  _fatalError?: unknown;
  _protocolError?: unknown;
  _closing?: boolean;
  readonly config?: { readonly user?: string; readonly database?: string; charsetNumber?: number | undefined };
  /** Changed only by changeUser(). */
  readonly clientEncoding?: string;
  /** What it runs. */
  _command?: Command | null;
  /** What waits to be run. */
  readonly _commands?: { readonly length: number };
  /** Takes each packet of the server. Without one it starts the command. */
  handlePacket?(packet?: Packet): void;
  /** What the server said of itself. */
  readonly _handshakePacket?: { readonly serverVersion?: string; readonly capabilityFlags?: number } | null;
  /** Whether it waits for the reader of a row stream. */
  _paused?: boolean;
}

/** What mysql2 runs for one call, with the functions that read its answer. Each kind has some of them. */
interface Command {
  /** The one that reads the next packet. Null once the answer is whole. */
  readonly next?: unknown;
  readonly resultsetHeader?: unknown;
  readonly row?: unknown;
  readonly infileOk?: unknown;
  readonly pingResponse?: unknown;
  readonly resetConnectionResponse?: unknown;
  readonly sql?: string;
  /** Of a statement that was prepared. */
  readonly statement?: { readonly query?: string };
}

/** A packet of the server: the bytes of `buffer` from `start` to `end`, with a header of four. */
interface Packet {
  readonly buffer: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** What the answers of the server say of a connection. */
interface Answers {
  /** Whether the last command was answered, and no transaction is open. */
  isOutside: boolean;
  /** Whether a statement may have set the characteristics of the next transaction, and none has begun since. */
  maySetNext: boolean;
  /** What mysql2 reads now, for which command, and the function that reads it. */
  packet: Packet | undefined;
  command: Command | undefined;
  reader: unknown;
}

/** By the socket, which a proxy of the connection has, too. */
const answersOf = new WeakMap<object, Answers>();

/** What a connection was opened with, as far as COM_RESET_CONNECTION does not restore it. */
interface Opening {
  readonly user: string | undefined;
  readonly database: string | undefined;
  readonly charset: number | undefined;
  readonly encoding: string | undefined;
  /** The SET NAMES of that character set, once it is known; empty if the server restores the character set. */
  names: string | undefined;
}

const openings = new WeakMap<Core, Opening>();

/** ER_CLIENT_INTERACTION_TIMEOUT of MySQL, which ends the session. In MariaDB a trigger is missing. */
const idleOrNoTrigger = 4031;

const ignore = (): void => {};

/** A connection of promises stands before one of callbacks. */
function coreOf(connection: Mysql2Connection): Core {
  return (connection as { connection?: Core }).connection ?? (connection as Core);
}

function ask(connection: Mysql2Connection, call: "rollback" | "commit" | "ping" | "reset"): Promise<void> {
  return new Promise((resolve, reject) => coreOf(connection)[call]?.((error) => (error ? reject(error) : resolve())));
}

/** Rejects if a transaction is open even then, as with `completion_type = CHAIN`, or if more was sent behind it. */
async function endTransaction(connection: Mysql2Connection, call: "rollback" | "commit"): Promise<void> {
  await ask(connection, call);
  if (answersOf.has(coreOf(connection).stream) && mysql2.inTransaction?.(connection))
    throw new Error("a transaction is still open");
}

function query(core: Core, statement: string, values: unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) =>
    core.query(statement, values, (error, rows) => (error ? reject(error) : resolve(rows))),
  );
}

/**
 * Reads the status of each answer, which mysql2 drops for rows. Invariant: `isOutside` is false from the start of a
 * command until an answer says otherwise. An error says nothing, and neither does a packet of another kind.
 */
function watchAnswers(core: Core): void {
  const { handlePacket } = core;
  if (typeof handlePacket !== "function" || answersOf.has(core.stream)) return;
  const answers: Answers = {
    isOutside: false,
    maySetNext: false,
    packet: undefined,
    command: undefined,
    reader: undefined,
  };
  answersOf.set(core.stream, answers);
  core.handlePacket = function (packet) {
    const command = this._command;
    if (packet === undefined || !command) answers.isOutside = false;
    if (packet === undefined || !command || !mayEnd(packet)) return handlePacket.call(this, packet);
    answers.packet = packet;
    answers.command = command;
    answers.reader = command.next;
    handlePacket.call(this, packet);
    if (this._command !== command) {
      const isOutside = readAnswer(answers, command);
      // Unless another command has begun.
      if (!this._command) answers.isOutside = isOutside;
    }
    answers.packet = answers.command = undefined;
  };
}

/** Whether the packet may be an OK, EOF or error packet, by its first byte. Few others are looked at further. */
function mayEnd({ buffer, start }: Packet): boolean {
  const first = buffer[start + 4] as number;
  return first === 0 || first >= 0xfe;
}

/** Reads the packet that ended the answer to a command. Returns whether it says that no transaction is open. */
function readAnswer(answers: Answers, command: Command): boolean {
  const { packet, reader } = answers;
  const isInside = packet === undefined ? undefined : isInTransaction(packet, command, reader);
  if (isInside === true || (isInside === false && endsTransaction(command))) answers.maySetNext = false;
  else if (!answers.maySetNext) answers.maySetNext = maySetNext(command.sql ?? command.statement?.query ?? "");
  return isInside === false;
}

/**
 * Whether the answer to the command is whole, and nothing waits behind it: in its event "end", mysql2 still has it as
 * the one that it runs.
 */
function isEnding({ _command, _commands }: Core, { command }: Answers): boolean {
  return command !== undefined && command === _command && !command.next && _commands?.length === 0;
}

/**
 * Returns what the packet that ended a command's answer says, by the lowest bit of its status: SERVER_STATUS_IN_TRANS.
 * Undefined if it has none. `reader`: the function that reads the packet.
 */
function isInTransaction({ buffer, start, end }: Packet, command: Command, reader: unknown): boolean | undefined {
  const { row, resultsetHeader, infileOk, pingResponse, resetConnectionResponse } = command;
  let at = start + 4;
  const first = buffer[at];
  if (reader === row) {
    // Rows end with an EOF packet. A value that begins like one is longer.
    if (first !== 0xfe || end - at > 8) return undefined;
    at += 3;
  } else {
    // An OK packet. The answer to a statement to prepare begins like one.
    if (first !== 0 || ![resultsetHeader, infileOk, pingResponse, resetConnectionResponse].includes(reader))
      return undefined;
    // Before the status: how many rows, and the inserted id.
    at = afterNumber(buffer, afterNumber(buffer, at + 1));
  }
  return at + 2 > end ? undefined : (buffer[at] as number) % 2 === 1;
}

/** Returns where a number of variable length ends. */
function afterNumber(buffer: Uint8Array, at: number): number {
  const first = buffer[at] as number;
  return at + (first < 0xfb ? 1 : first === 0xfc ? 3 : first === 0xfd ? 4 : 9);
}

/** Whether the command was ROLLBACK or COMMIT, as mysql2 and this dialect send it, or the reset of the session. */
function endsTransaction({ sql, resetConnectionResponse }: Command): boolean {
  return sql === "ROLLBACK" || sql === "COMMIT" || resetConnectionResponse !== undefined;
}

function openingOf(core: Core): Opening {
  let opening = openings.get(core);
  if (opening === undefined) {
    const { config, clientEncoding: encoding } = core;
    opening = {
      user: config?.user,
      database: config?.database,
      charset: config?.charsetNumber,
      encoding,
      names: undefined,
    };
    openings.set(core, opening);
  }
  return opening;
}

/** Returns the SET NAMES that a session needs after a reset. MySQL forgets the character set, MariaDB does not. */
async function namesAfterReset(core: Core, charset: number | undefined): Promise<string> {
  const rows = (await query(
    core,
    "SELECT CHARACTER_SET_NAME AS name, COLLATION_NAME AS collation, COLLATION_NAME = @@collation_connection AND " +
      "CHARACTER_SET_NAME = @@character_set_client AND CHARACTER_SET_NAME = @@character_set_results AS isKept " +
      "FROM information_schema.COLLATIONS WHERE ID = ?",
    [charset ?? 0],
  )) as Array<{ name: string; collation: string; isKept: unknown }> | undefined;
  const row = rows?.[0];
  return row === undefined || Number(row.isKept) === 1 ? "" : `SET NAMES ${row.name} COLLATE ${row.collation}`;
}

/**
 * For `new QueuePool(() => createConnection(url), { dialect: mysql2 })`, with `createConnection` of `mysql2/promise`.
 */
export const mysql2: Dialect<Mysql2Connection> = {
  name: "mysql2",

  doCheck(connection) {
    const { connection: core } = connection as { connection?: unknown };
    const isDrivers = expectDriver("mysql2", connection, ["rollback"], core);
    return isDrivers ? warnIfOlder("mysql2", "3.23", coreOf(connection), "_isMariaDB") : undefined;
  },

  doRollback: (connection) => endTransaction(connection, "rollback"),

  doCommit: (connection) => endTransaction(connection, "commit"),

  /**
   * Sends COM_RESET_CONNECTION, and restores the database and the character set, which it leaves or forgets. mysql2
   * prepares the statements of execute() again. Rejects if the connection is another user's now, or if this version of
   * mysql2 cannot reset: then the pool opens another connection.
   */
  async doResetSession(connection) {
    const core = coreOf(connection);
    const opening = openingOf(core);
    if (core.reset === undefined) throw new Error("this version of mysql2 cannot reset a session");
    if (core.config?.user !== opening.user || core.clientEncoding !== opening.encoding)
      throw new Error("changeUser() has changed the connection");
    const { database } = opening;
    if (database === undefined && core.config?.database !== undefined)
      throw new Error("changeUser() has chosen a database for the connection");
    await ask(connection, "reset");
    // mysql2 goes on with the character set of the last SET NAMES.
    if (core.config !== undefined) core.config.charsetNumber = opening.charset;
    const commands: Promise<unknown>[] = [];
    const restore = (statement: string): void => void commands.push(query(core, statement, []));
    if (database !== undefined) restore(`USE \`${database.replaceAll("`", "``")}\``);
    if (opening.names === undefined) {
      await Promise.all(commands);
      opening.names = await namesAfterReset(core, opening.charset);
      if (opening.names !== "") await query(core, opening.names, []);
      return;
    }
    if (opening.names !== "") restore(opening.names);
    await Promise.all(commands);
  },

  /** Is over when the socket is: mysql2's own `end` answers before its goodbye is sent. */
  doClose(connection) {
    const core = coreOf(connection);
    core.on("error", ignore);
    return new Promise<void>((resolve) => {
      if (core.stream.destroyed) return resolve();
      core.stream.on("close", resolve);
      // Refused if the connection is closing already, which may wait for the server.
      const refused: Callback = (refusal) => {
        if (refusal) core.stream.destroy();
      };
      if (core._realEnd === undefined) core.end(refused);
      else core._realEnd(refused);
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
      if (isDisconnect(error, connection) !== false) return false;
      throw error;
    }
  },

  isDisconnect,

  guarded: [
    "query",
    "execute",
    "prepare",
    "beginTransaction",
    "commit",
    "rollback",
    "changeUser",
    "ping",
    "reset",
    "end",
  ],

  doRefuse(error, given) {
    const callback = given.at(-1);
    if (typeof callback !== "function") return Promise.reject(error);
    queueMicrotask(() => (callback as Callback)(error));
    return undefined;
  },

  /** A row stream that is not read on has paused the socket. A connection that its caller ended serves no other. */
  isBusy(connection) {
    const core = coreOf(connection);
    const { _command, _paused, _closing, stream } = core;
    if (stream.destroyed) return false;
    if (_closing === true || _paused === true) return "stuck";
    if (!_command) return false;
    const answers = answersOf.get(stream);
    return answers === undefined || !isEnding(core, answers);
  },

  /** True unless the last answer said that none is open, and nothing has been sent since. */
  inTransaction(connection) {
    const core = coreOf(connection);
    const answers = answersOf.get(core.stream);
    if (answers === undefined || core._closing === true || core.stream.destroyed) return true;
    const { command } = answers;
    if (command !== undefined && isEnding(core, answers)) answers.isOutside = readAnswer(answers, command);
    else if (core._command) return true;
    return !answers.isOutside || answers.maySetNext;
  },

  /**
   * mysql2 reports a socket that fails either to the statement under way, or as "error", which without a listener ends
   * the process.
   */
  onDisconnect(connection, died) {
    const core = coreOf(connection);
    openingOf(core);
    watchAnswers(core);
    const onError = (error: unknown): void => died(error);
    const onEnd = (): void =>
      died(Object.assign(new Error("the server closed the connection"), { code: "PROTOCOL_CONNECTION_LOST" }));
    const watched: [Emitter, string, (error: unknown) => void][] = [
      [core, "error", onError],
      [core, "end", onEnd],
      [core.stream, "error", onError],
      [core.stream, "close", onEnd],
    ];
    for (const [emitter, event, listener] of watched) emitter.on(event, listener);
    // It may have ended before its creator returned it.
    if (core.stream.destroyed || core._closing === true) onEnd();
    return () => {
      core.on("error", ignore);
      for (const [emitter, event, listener] of watched) emitter.removeListener(event, listener);
    };
  },
};

/** By its version, which an administrator may change, or by the capability of MySQL that it does not claim. */
function isMariaDb(connection: Mysql2Connection): boolean {
  const { serverVersion = "", capabilityFlags = 1 } = coreOf(connection)._handshakePacket ?? {};
  return /mariadb/i.test(serverVersion) || capabilityFlags % 2 === 0;
}

/**
 * mysql2 marks every error of a socket or of a broken protocol as fatal. The socket need not be this connection's: a
 * connection that goes on has met no such error.
 */
function isDisconnect(error: unknown, connection: Mysql2Connection): boolean | "connection" {
  if (typeof error !== "object" || error === null) return false;
  const { fatal, errno, code, message } = error as { [member: string]: unknown };
  // The former is of the option `timeout` of a statement, which runs on.
  const isAlone = code === "PROTOCOL_SEQUENCE_TIMEOUT" || (errno === idleOrNoTrigger && !isMariaDb(connection));
  const end = endOfSession(errno, message) || (isAlone && "connection");
  if (end !== false || fatal !== true) return end;
  const { _fatalError, _protocolError, _closing, stream } = coreOf(connection);
  if (_fatalError !== null || _protocolError !== null) return true;
  // Its caller has ended it.
  if (_closing === true) return "connection";
  return stream.destroyed;
}

export default mysql2;
