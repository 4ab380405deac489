/**
 * Sends several statements to a pg.Client in one write, and reads all of their answers in one turn. In workerd each
 * write and each read is a turn of the object, and pg writes five messages for a statement with values. Knows of pg's
 * Client what a cursor knows: its Query, and how it passes messages on. Called by run-query.ts.
 */

import { preparedName, type PreparedNames } from "./prepared-names.js";
import type { CheckedStatement } from "./statements.js";

/** pg's result of one statement. */
export interface PgResult {
  readonly rows: unknown[];
  readonly rowCount: number | null;
  readonly command?: string;
  readonly fields: { readonly name: string; readonly dataTypeID?: number }[];
}

/** pg's Query. */
export interface PgQuery {
  name?: string;
  text: string;
  portal: string;
  callback: (error: unknown, result?: PgResult) => void;
  _result: { _types?: unknown };
  _getRows(connection: PgConnection): void;
  prepare(connection: PgConnection): void;
  handleRowDescription(message: unknown): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: PgConnection): void;
  handleError(error: unknown, connection: PgConnection): void;
  handleReadyForQuery(connection: PgConnection): void;
}

/** pg's Connection. */
export interface PgConnection extends PreparedNames {
  _send(bytes: Uint8Array): unknown;
  execute(portal: { portal: string }): void;
  query(text: string): void;
  close(portal: { type: "P"; name: string }): void;
  parse(statement: { text: string; name: string }): void;
  bind(portal: object): void;
  sendCopyFail(message: string): void;
  sync(): void;
}

/** A pg.Client, also in the facade of its lease. */
export interface PgFlyer {
  readonly connection: PgConnection;
  readonly pipeline?: unknown;
  readonly _types: unknown;
  query(submitted: object): unknown;
}

type QueryClass = new (config: object) => PgQuery;

interface Failed {
  readonly error: unknown;
  readonly index: number;
}

/** What became of the statements of a flight. */
export interface Flight {
  /** The results of those that succeeded, in order. */
  readonly results: PgResult[];
  /** The error of the one that failed, and its place. Those behind it did not run. */
  readonly failure: Failed | undefined;
  /** Whether anything was sent to the server. */
  readonly isSent: boolean;
  /** Whether the transaction of the flight was committed. */
  readonly isCommitted: boolean;
  /** Whether all that was sent behind the transaction succeeded. */
  readonly isReset: boolean;
}

/** Whether the connection is a pg.Client that takes flights: pg's own pipeline refuses them. */
export function isPgFlyer(connection: unknown): connection is PgFlyer {
  const { connection: own, pipeline, query } = connection as Partial<PgFlyer>;
  return (
    typeof query === "function" &&
    pipeline !== true &&
    typeof own?._send === "function" &&
    own.submittedNamedStatements !== undefined &&
    typeof queryClassOf(connection as PgFlyer)?.prototype?.prepare === "function"
  );
}

/**
 * Runs the statements, each with the extended protocol; one alone without values with the simple one, which takes
 * several statements in a text. With `thenReset` they run in a transaction, and these statements without values behind
 * it. The server sends the answers of all of them at once, so they take one turn. Never rejects.
 */
export function fly(
  client: PgFlyer,
  statements: readonly CheckedStatement[],
  thenReset: readonly string[] | undefined,
): Promise<Flight> {
  return new Promise((resolve) => client.query(new Submitted(client, statements, thenReset, resolve)));
}

/** What pg's Client takes in place of a query. */
class Submitted {
  /** By this the dialect knows that it ends by itself. */
  readonly requiresPreparation = true;
  callback: (error: unknown) => void;
  readonly #client: PgFlyer;
  readonly #statements: readonly CheckedStatement[];
  readonly #queries: PgQuery[] = [];
  readonly #thenReset: readonly string[] | undefined;
  /** Of one text there may be several results. */
  readonly #isSimple: boolean;
  /** The statement whose answer arrives; -1 is the BEGIN. */
  #at: number;
  #isSent = false;
  readonly #results: PgResult[] = [];
  #failure: Failed | undefined;

  constructor(
    client: PgFlyer,
    statements: readonly CheckedStatement[],
    thenReset: readonly string[] | undefined,
    landed: (flight: Flight) => void,
  ) {
    this.#client = client;
    this.#statements = statements;
    this.#thenReset = thenReset;
    this.#at = thenReset === undefined ? 0 : -1;
    this.#isSimple = thenReset === undefined && statements.length === 1 && !statements.some(isPrepared);
    const { connection: own } = client;
    // Called with pg's error: of the server, of the socket, or of its time-out.
    this.callback = (error) => {
      const behind = this.#at - statements.length - 1;
      const isCommitted = thenReset !== undefined && behind >= 0;
      const failure = this.#failure ?? (error && !isCommitted ? { error, index: this.#at } : undefined);
      const isReset = behind > 0 && behind === thenReset?.length;
      if (isCommitted && thenReset.length > 0 && prepared.get(own) !== false) prepared.set(own, isReset);
      landed({ results: this.#results, failure, isSent: this.#isSent, isCommitted, isReset });
    };
  }

  /** pg asks these of the query whose answer arrives, to know what was prepared. */
  get name(): string | undefined {
    return this.#queries[this.#at]?.name;
  }

  get text(): string | undefined {
    return this.#queries[this.#at]?.text;
  }

  submit(connection: PgConnection): Error | null {
    const parts: Uint8Array[] = [];
    const recorder = recorderOf(connection, parts);
    if (this.#thenReset !== undefined) parts.push(bytesOf(begin, connection, "plain"));
    for (const statement of this.#statements) {
      // Now, because those before it may have taken its name.
      const query = this.#queryOf(statement, this.#queries.length);
      this.#queries.push(query);
      if (this.#isSimple) recorder.query(query.text);
      else query.prepare(recorder);
      if (this.#failure === undefined) continue;
      this.#forget(connection);
      return this.#failure.error as Error;
    }
    if (this.#thenReset !== undefined)
      parts.push(bytesOf(commit, connection, "plain"), bytesOf(this.#thenReset, connection, wayOf(connection)));
    if (!this.#isSimple) recorder.sync();
    connection._send(joined(parts));
    this.#isSent = true;
    return null;
  }

  handleRowDescription(message: unknown): void {
    this.#queries[this.#at]?.handleRowDescription(message);
  }

  handleDataRow(message: unknown): void {
    this.#queries[this.#at]?.handleDataRow(message);
  }

  handleCommandComplete(message: unknown, connection: PgConnection): void {
    this.#queries[this.#at]?.handleCommandComplete(message, connection);
    this.#advance();
  }

  handleEmptyQuery(): void {
    this.#advance();
  }

  handleError(error: unknown, connection: PgConnection): void {
    this.#forget(connection);
    this.#finish(connection, this.#at);
    this.callback(error);
  }

  handleReadyForQuery(connection: PgConnection): void {
    this.#finish(connection, this.#queries.length);
    this.callback(null);
  }

  /** There is no source. The server has ignored the Sync of the flight by now. */
  handleCopyInResponse(connection: PgConnection): void {
    connection.sendCopyFail("No source stream defined");
    connection.sync();
  }

  handleCopyData(): void {}

  #advance(): void {
    if (!this.#isSimple) this.#at++;
  }

  /** Lets pg finish the first `count` queries: one whose row could not be read fails there. */
  #finish(connection: PgConnection, count: number): void {
    for (const query of this.#queries.slice(0, Math.max(0, count))) {
      query.handleReadyForQuery(connection);
      if (this.#failure !== undefined) return;
    }
  }

  /** The server did not prepare what comes behind a failure. */
  #forget(connection: PgConnection): void {
    for (const { name } of this.#queries.slice(Math.max(0, this.#at)))
      if (name) delete connection.submittedNamedStatements[name];
  }

  #queryOf(statement: CheckedStatement, index: number): PgQuery {
    const client = this.#client;
    const query = new (queryClassOf(client) as QueryClass)(pgConfigOf(client.connection, statement));
    query._result._types ??= client._types;
    query.callback = (error, result) => {
      if (error) this.#failure ??= { error, index };
      else if (result !== undefined) this.#results.push(result);
    };
    // Its Sync would end the flight, and so its transaction.
    query._getRows = (connection) => connection.execute({ portal: query.portal });
    return query;
  }
}

/** Returns what writes into the list what the connection would send. */
function recorderOf(connection: PgConnection, parts: Uint8Array[]): PgConnection {
  return Object.create(connection, { _send: { value: (part: Uint8Array) => parts.push(part) } }) as PgConnection;
}

const begin = ["BEGIN"];
const commit = ["COMMIT"];

/**
 * By connection: whether the statements behind its transactions are prepared. False once one of them has failed: then
 * they are sent without names, because some of the names may be taken.
 */
const prepared = new WeakMap<PgConnection, boolean>();

/** How statements are sent: without names, to be prepared, or as prepared before. */
type Way = "plain" | "first" | "again";

function wayOf(connection: PgConnection): Way {
  const isPrepared = prepared.get(connection);
  return isPrepared === undefined ? "first" : isPrepared ? "again" : "plain";
}

/** The messages of statements without values. They are the same for each connection. */
const knownBytes = new WeakMap<readonly string[], Partial<Record<Way, Uint8Array>>>();

function bytesOf(texts: readonly string[], connection: PgConnection, way: Way): Uint8Array {
  const known = knownBytes.get(texts) ?? {};
  knownBytes.set(texts, known);
  return (known[way] ??= ((): Uint8Array => {
    const parts: Uint8Array[] = [];
    const recorder = recorderOf(connection, parts);
    for (const [index, text] of texts.entries()) {
      const name = way === "plain" ? "" : `edgepool-reset-${index}`;
      if (way !== "again") recorder.parse({ text, name });
      recorder.bind({ statement: name });
      recorder.execute({ portal: "" });
    }
    return joined(parts);
  })());
}

/** The values of a row as the server's texts. */
const rawTypes = { getTypeParser: () => (text: unknown) => text };

/** Whether pg sends the statement with the extended protocol. */
export function isPrepared({ values, name }: CheckedStatement): boolean {
  return name !== undefined || (values !== undefined && values.length > 0);
}

/** Returns the statement as pg takes it. */
export function pgConfigOf(connection: unknown, { text, values, name, rowMode, types }: CheckedStatement): object {
  return {
    text,
    ...(values === undefined ? {} : { values }),
    ...(name === undefined ? {} : { name: preparedName(connection as PreparedNames | undefined, name, text) }),
    ...(rowMode === undefined ? {} : { rowMode }),
    ...(types === undefined ? {} : { types: rawTypes }),
  };
}

export function queryClassOf(client: PgFlyer): QueryClass | undefined {
  return (client.constructor as { Query?: QueryClass }).Query;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}
