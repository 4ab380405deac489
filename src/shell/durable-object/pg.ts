/**
 * edgepool/durable-object/pg: `Pool`, which has the members of pg.Pool over poolOf(). A query runs in the Durable
 * Object, and a client is a lease there. It decides nothing: the object's pool does. It alone of this folder imports
 * pg, because libraries ask for `instanceof pg.Pool`.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import pg from "pg";
import type { RemotePool } from "./pool-of.js";
import type { RemoteLease } from "./remote-lease.js";
import type { StatementConfig } from "./statements.js";

type Callback = (error: unknown, ...given: any[]) => void;
type Text = string | StatementConfig;

/** What programs compare the messages of errors with. */
const messages = {
  ended: "Cannot use a pool after calling end on the pool",
  endedTwice: "Called end on pool more than once",
  released: "Release called on client which has already been released to the pool.",
  queryObject: "a Durable Object runs no query objects, such as cursors and streams: call stream() of poolOf()",
};

/** A connection of the object, with the members of pg's clients that libraries use. */
class RemoteClient extends EventEmitter {
  readonly #lease: RemoteLease;
  readonly #ended: () => void;
  #isOut = true;

  constructor(lease: RemoteLease, ended: () => void) {
    super();
    this.#lease = lease;
    this.#ended = ended;
  }

  query(text: unknown, values?: unknown, callback?: Callback): unknown {
    return answer(text, values, callback, (config, given) => this.#lease.query(config, given));
  }

  /** Gives the connection back. It is reset in the object, whatever the error is. */
  release = (_unfit?: unknown): void => {
    if (!this.#isOut) throw new Error(messages.released);
    this.#isOut = false;
    this.#ended();
    void this.#lease.release();
  };

  [Symbol.dispose](): void {
    if (this.#isOut) this.release();
  }
}

class ObjectPool extends EventEmitter {
  /** Empty: the object has the options of the connections. Kysely and Prisma want it. */
  readonly options: Record<string, unknown> = {};
  readonly #pool: RemotePool;
  #out = 0;
  #waiting = 0;
  ending = false;
  ended = false;

  constructor(pool: RemotePool) {
    super();
    this.#pool = pool;
  }

  /** The clients of this pool that are out. Those of other isolates do not count; see stats() of poolOf(). */
  get totalCount(): number {
    return this.#out;
  }

  get idleCount(): number {
    return 0;
  }

  get waitingCount(): number {
    return this.#waiting;
  }

  query(text: unknown, values?: unknown, callback?: Callback): unknown {
    return answer(text, values, callback, (config, given) =>
      this.ending ? Promise.reject(new Error(messages.ended)) : this.#pool.query(config, given),
    );
  }

  connect(callback?: unknown): unknown {
    const { signal } = (typeof callback === "object" && callback !== null ? callback : {}) as { signal?: AbortSignal };
    const client = this.#lease(signal);
    if (typeof callback !== "function") return client;
    const given = callback as Callback;
    client.then(
      (lent) => queueMicrotask(() => given(undefined, lent, lent.release)),
      (error: unknown) => queueMicrotask(() => given(error, undefined, () => {})),
    );
  }

  async #lease(signal: AbortSignal | undefined): Promise<RemoteClient> {
    if (this.ending) throw new Error(messages.ended);
    this.#waiting++;
    try {
      const lease = await this.#pool.lease(signal && { signal });
      this.#out++;
      const client = new RemoteClient(lease, () => void this.#out--);
      this.emit("acquire", client);
      return client;
    } finally {
      this.#waiting--;
    }
  }

  /** Refuses later calls. The object keeps its connections: other isolates use them. */
  end(callback?: () => void): unknown {
    const ends = this.ending ? Promise.reject(new Error(messages.endedTwice)) : Promise.resolve();
    this.ending = true;
    this.ended = true;
    if (callback === undefined) return ends;
    ends.then(callback, callback);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ending) await this.end();
  }
}

/** Calls `run` with the statement in the form that a PoolObject takes. */
function answer(
  text: unknown,
  values: unknown,
  callback: Callback | undefined,
  run: (text: Text, values: readonly unknown[] | undefined) => Promise<unknown>,
): unknown {
  if (typeof values === "function") [values, callback] = [undefined, values as Callback];
  const isQueryObject = typeof (text as { submit?: unknown } | undefined)?.submit === "function";
  const result = isQueryObject
    ? Promise.reject(new TypeError(messages.queryObject))
    : run(statementOf(text), (values ?? undefined) as readonly unknown[] | undefined);
  const called = callback ?? (text as { callback?: Callback } | undefined)?.callback;
  if (typeof called !== "function") return result;
  result.then(
    (rows) => queueMicrotask(() => called(undefined, rows)),
    (error: unknown) => queueMicrotask(() => called(error)),
  );
}

/** Leaves out what only a driver reads. */
function statementOf(given: unknown): Text {
  if (typeof given !== "object" || given === null) return given as string;
  const { text, values, name, rowMode, types } = given as StatementConfig;
  return {
    text,
    ...(values && { values }),
    ...(name && { name }),
    ...(rowMode && { rowMode }),
    ...(types && { types }),
  };
}

/** The members of pg.Pool over the pool of a Durable Object. */
export interface Pool extends pg.Pool, AsyncDisposable {
  connect(options?: { signal?: AbortSignal | undefined }): Promise<pg.PoolClient & Disposable>;
  connect(
    callback: (
      error: Error | undefined,
      client: pg.PoolClient | undefined,
      release: (unfit?: Error | boolean) => void,
    ) => void,
  ): void;
}

/** `new Pool(poolOf(env.DATABASE))`. It opens nothing, and many may be made. */
export const Pool: { new (pool: RemotePool): Pool; readonly prototype: Pool } = /* @__PURE__ */ poolOfObject();

function poolOfObject(): { new (pool: RemotePool): Pool; readonly prototype: Pool } {
  // Minifiers change the name of a class, and Drizzle looks for "Pool" in it.
  Object.defineProperty(ObjectPool, "name", { value: "Pool" });
  Object.setPrototypeOf(ObjectPool.prototype, pg.Pool.prototype);
  return ObjectPool as unknown as { new (pool: RemotePool): Pool; readonly prototype: Pool };
}
