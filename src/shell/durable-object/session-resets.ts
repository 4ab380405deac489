/**
 * Lets the pool omit the reset of a session that was reset already: its statements may be sent along with the last
 * statement of a session. Decides nothing else. Made by pool-object.ts; the pool asks it through the dialect.
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
  readonly #done = new WeakSet<object>();

  constructor(dialect: Dialect<C>, resetsSessions: boolean) {
    const { statements } = (dialect.doResetSession ?? {}) as WithStatements;
    this.statements = resetsSessions && typeof statements === "string" ? statements : undefined;
    this.dialect = this.statements === undefined ? dialect : this.#omitting(dialect);
  }

  /** The session was reset, and the connection gets nothing else before its return. */
  done(connection: C): void {
    this.#done.add(ownOf(connection));
  }

  #omitting(dialect: Dialect<C>): Dialect<C> {
    return {
      ...dialect,
      doResetSession: (connection) =>
        this.#done.delete(ownOf(connection)) ? undefined : dialect.doResetSession?.(connection),
    };
  }
}

/** pg's own connection: a lease has a facade of the client. */
function ownOf(connection: unknown): object {
  const { connection: own } = connection as { connection?: object };
  return own ?? (connection as object);
}
