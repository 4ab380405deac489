/** The types of edgepool/pg: those of pg, and what this pool has beyond. */

import type { ConnectOptions, QueuePool, QueuePoolOptions } from "edgepool";
import type pg from "pg";

/** The options of pg.Pool, and a few more. */
export interface PoolConfig extends Omit<pg.PoolConfig, "Client" | "onConnect"> {
  /** The class of the clients. Default: pg's. */
  Client?: (new (config?: any) => pg.ClientBase) | undefined;
  /** Called for each new client before anyone has it, and awaited. */
  onConnect?: ((client: pg.ClientBase) => unknown) | undefined;
  /**
   * Lets queries of query() share clients, several at a time, with pg 8.23 and later. Default false. Only single
   * statements that commit by themselves do: SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE and WITH. A failed
   * one does not cost the client.
   */
  pipeline?: boolean | undefined;
  /** How long end() waits for clients that are out, in milliseconds, before it ends them. Default 30,000. */
  endTimeoutMillis?: number | undefined;
  /** Options of {@link QueuePool}, such as `prePing`, `holdLimit` or `loggingName`. They come before those of pg. */
  edgepool?: QueuePoolOptions<pg.PoolClient> | undefined;
}

/** pg's own client, as long as it is out. */
export interface PoolClient extends pg.PoolClient, Disposable {
  /** Gives the client back: with an error or true as unfit, and then it is ended. Throws if it is back already. */
  release(unfit?: Error | boolean): void;
  /** Gives the client back, unless it is back already. */
  [Symbol.dispose](): void;
}

/** A query with a signal: an abort leaves the queue, or stops the statement and ends its client. */
export interface AbortableQuery<Values = any[]> extends pg.QueryConfig<Values> {
  signal?: AbortSignal | undefined;
}

/** The members of pg.Pool, and a few more. */
export interface Pool extends pg.Pool, AsyncDisposable {
  /** Lends a client; with `signal` only as long as that is not aborted. */
  connect(options?: Pick<ConnectOptions, "signal">): Promise<PoolClient>;
  connect(
    callback: (error: Error | undefined, client: PoolClient | undefined, release: (unfit?: any) => void) => void,
  ): void;
  /** Runs a query on a client of the pool. A failed one costs the client, as in pg. */
  query: pg.Pool["query"] &
    (<Row extends pg.QueryResultRow = any, Values = any[]>(
      query: AbortableQuery<Values>,
    ) => Promise<pg.QueryResult<Row>>);
  /**
   * Serves the callers that came before, waits for the clients that are out, and closes all. After `timeoutMillis`
   * (default `endTimeoutMillis`) it refuses the callers that still wait, and ends the clients that are out.
   */
  end(options?: { timeoutMillis?: number | undefined }): Promise<void>;
  end(callback: () => void): void;
  /** end(), or the promise of the end that has begun. */
  [Symbol.asyncDispose](): Promise<void>;
  /** The pool behind this one, for `stats()`, `status()` and the events of edgepool. */
  readonly queuePool: QueuePool<pg.PoolClient>;
}

export interface PoolClass {
  /** Opens nothing. `config`: the options, or a connection string. `Client`: as the option. */
  new (config?: PoolConfig | string, Client?: new (config?: any) => pg.ClientBase): Pool;
  readonly prototype: Pool;
}
