/**
 * edgepool/durable-object: one pool for many isolates, in a Durable Object.
 *
 * Export a subclass of {@link PoolObject} with the creator, bind it, and call it through {@link poolOf}: `query()`,
 * `batch()`, `lease()`.
 *
 * @module
 */

export { Lease } from "./lease.js";
export { PoolObject, type PoolObjectOptions } from "./pool-object.js";
export { poolOf, type ObjectNamespace, type PoolOfOptions, type RemotePool } from "./pool-of.js";
export type { LostLeaseError, RemoteLease } from "./remote-lease.js";
export type { ReadRows } from "./row-stream.js";
export type { RunOptions, RunQuery, RunResult } from "./run-query.js";
export type {
  AbortOptions,
  BatchOptions,
  LeaseBatchOptions,
  QueryResult,
  Statement,
  StatementConfig,
  ValueTypes,
  WaitOptions,
} from "./statements.js";
