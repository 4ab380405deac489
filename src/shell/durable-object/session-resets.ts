/**
 * Lets the pool omit the reset of a session that was reset already: its statements may be sent along with the last
 * statement of a session. Bounds the other resets. Made by pool-object.ts; the pool asks it through the dialect.
 */

import type { Dialect } from "../dialect.js";
import { settles } from "./settles.js";

/** What a dialect's doResetSession may have: its statements, for a connection without a transaction. They are quick. */
interface WithStatements {
  readonly statements?: readonly string[];
}

/** A reset that takes longer has failed: the next caller waits for it. */
const longestReset = 2000;

export class SessionResets<C> {
  /** What may be sent along; undefined if the pool must reset in another way. */
  readonly statements: readonly string[] | undefined;
  /** The dialect for the pool. */
  readonly dialect: Dialect<C>;
  readonly #done = new WeakSet<object>();

  constructor(dialect: Dialect<C>, resetsSessions: boolean) {
    const { doResetSession } = dialect;
    this.statements = resetsSessions ? (doResetSession as WithStatements | undefined)?.statements : undefined;
    this.dialect =
      doResetSession === undefined
        ? dialect
        : {
            ...dialect,
            doResetSession: (connection) =>
              this.#done.delete(ownOf(connection)) ? undefined : bounded(dialect.doResetSession?.(connection)),
          };
  }

  /** The session was reset, and the connection gets nothing else before its return. */
  done(connection: C): void {
    this.#done.add(ownOf(connection));
  }
}

async function bounded(reset: unknown): Promise<void> {
  if (!(await settles(Promise.resolve(reset), longestReset))) throw new Error("the reset took too long");
}

/** pg's own connection: a lease has a facade of the client. */
function ownOf(connection: unknown): object {
  const { connection: own } = connection as { connection?: object };
  return own ?? (connection as object);
}
