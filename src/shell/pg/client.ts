/**
 * The driver's clients as a {@link QueuePool} needs them: opened from the pool's options, and called through the
 * dialect of pg. A client that no one has borrowed refuses statements.
 */

import { InvalidRequestError, type Dialect, type PooledConnection } from "edgepool";
import { pg, type PgClient } from "../dialects/pg.js";

/** A connected client, of pg or of the option `Client`. */
export interface Client extends PgClient {
  query(...given: any[]): any;
  connect(callback: (error?: unknown) => void): unknown;
  once(event: string, listener: (...given: any[]) => void): unknown;
  release?(error?: unknown): void;
  ref?(): void;
  unref?(): void;
  connection?: { stream?: { destroy?(): void } };
  _ending?: boolean;
  _queryable?: boolean;
}

export type ClientClass = new (options: any) => Client;

/** What the pool knows of one client. */
export class Loan {
  /** Whether a borrower has the client, or the pool opens it. */
  isOut = true;
  /** The lease of the borrower. */
  lease: PooledConnection<Client> | undefined = undefined;
  /** How often a borrower has given it back. */
  uses = 0;
  /** Whether its borrower gave it back as unfit: then it is ended politely, as pg does. */
  isUnfit = false;
  /** Whether its death was emitted. */
  isMourned = false;
  /** Whether it has died while a borrower had it: its slot is free, and pg counts it until its release. */
  isLost = false;
  /** When it was opened. It does not keep the client: in Workers a request may end without a release. */
  readonly opened = { at: Date.now() };
}

const loans = new WeakMap<object, Loan>();

export function loanOf(client: object): Loan {
  let loan = loans.get(client);
  if (loan === undefined) loans.set(client, (loan = new Loan()));
  return loan;
}

/** What the clients of a pool report to it. */
export interface ClientOwner {
  /** A client has ended. */
  removed(client: Client): void;
  /** A client has died while no one had borrowed it. */
  died(error: unknown, client: Client): void;
  /** A client has died while a borrower has it. */
  lost(client: Client): void;
}

/**
 * Lets `client.query` refuse while no one has borrowed the client: such a statement would run between two borrowers.
 * Looks the driver's own method up at each call, because tracers replace it.
 */
export function guard(client: Client, name: string): void {
  const loan = loanOf(client);
  // A client of the user may have a `query` of its own.
  const own = Object.getOwnPropertyDescriptor(client, "query")?.value as Client["query"] | undefined;
  const query = (...given: unknown[]): unknown => {
    if (loan.isOut) return Reflect.apply(own ?? Object.getPrototypeOf(client).query, client, given);
    return pg.doRefuse(
      new InvalidRequestError(
        `this client was released to the pool ${name}, and another caller may have it next: use it before ` +
          `release(), or connect() again`,
        name,
      ),
      given,
      client,
      "query",
    );
  };
  Object.defineProperty(client, "query", { value: query, writable: true, configurable: true });
}

/** Calls the driver for the pool itself. */
function unguarded<R>(client: Client, call: () => R): R {
  const loan = loanOf(client);
  const { isOut } = loan;
  loan.isOut = true;
  try {
    return call();
  } finally {
    loan.isOut = isOut;
  }
}

/** Returns the dialect of pg for the clients of a pool. */
export function dialectFor(owner: ClientOwner): Dialect<Client> {
  const end = async (client: Client): Promise<void> => {
    // From here on the driver's own error says what is wrong with a statement.
    loanOf(client).isOut = true;
    try {
      await pg.doClose(client);
    } finally {
      owner.removed(client);
    }
  };
  return {
    ...pg,
    // In one call: between two of them the client would be open to statements of the last borrower.
    doRollback: (client) => unguarded(client, () => client.query("ROLLBACK")),
    doCommit: (client) => unguarded(client, () => pg.doCommit(client)),
    doResetSession: (client) => unguarded(client, () => pg.doResetSession(client)),
    doPing: (client) => unguarded(client, () => pg.doPing(client)),
    doClose: end,
    doTerminate(client) {
      const loan = loanOf(client);
      const isPolite = loan.isUnfit || (loan.isMourned && !loan.isOut);
      // pg calls back with an error before the server is ready again.
      if (isPolite && pg.isBusy(client) === false) return end(client);
      loan.isOut = true;
      pg.doTerminate(client);
      owner.removed(client);
    },
    onDisconnect: (client, died) =>
      pg.onDisconnect(client, (error) => {
        const loan = loanOf(client);
        const isFirst = !loan.isMourned;
        const { isOut, lease } = loan;
        loan.isMourned = true;
        died(error);
        if (!isFirst) return;
        if (!isOut) owner.died(error, client);
        else if (lease !== undefined) owner.lost(client);
      }),
  };
}
