/**
 * Lets the pool's reset of a session be one that is under way already: its statements may be sent along with the last
 * statement of a session. Decides nothing else. Made by pool-object.ts; the pool calls it through the dialect.
 */

import type { Dialect } from "../dialect.js";

/** What a dialect's doResetSession may have: its text, for a connection without a transaction. */
interface WithStatements {
  readonly statements?: unknown;
}

export class SessionResets<C> {
  /** What may be sent along; undefined if the pool must reset in another way. */
  readonly statements: string | undefined;
  /** The dialect for the pool. */
  readonly dialect: Dialect<C>;
  /** The resets under way, with whether they succeeded. */
  readonly #sent = new WeakMap<object, Promise<boolean>>();

  constructor(dialect: Dialect<C>, resetsSessions: boolean) {
    const { statements } = (dialect.doResetSession ?? {}) as WithStatements;
    this.statements = resetsSessions && typeof statements === "string" ? statements : undefined;
    this.dialect = this.statements === undefined ? dialect : this.#awaiting(dialect);
  }

  /** The connection has the statements of the reset, and gets nothing else before it is returned. */
  sent(connection: C, isReset: Promise<boolean>): void {
    this.#sent.set(ownOf(connection), isReset);
  }

  #awaiting(dialect: Dialect<C>): Dialect<C> {
    const reset = (connection: C): unknown => dialect.doResetSession?.(connection);
    return {
      ...dialect,
      doResetSession: (connection) => {
        const own = ownOf(connection);
        const sent = this.#sent.get(own);
        if (sent === undefined) return reset(connection);
        this.#sent.delete(own);
        return sent.then((isDone) =>
          isDone && dialect.inTransaction?.(connection) !== true ? undefined : reset(connection),
        );
      },
    };
  }
}

/** pg's own connection: a lease has a facade of the client. */
function ownOf(connection: unknown): object {
  const { connection: own } = connection as { connection?: object };
  return own ?? (connection as object);
}
