/**
 * Closes what is idle in a pool that was garbage-collected without close(): development servers evaluate modules
 * again and drop the pools of the last evaluation. Nothing here keeps a pool alive. Its dialect and its logger may be
 * closures beside it, so they are held weakly: if they are gone with the pool, the connection's own method closes it.
 */

import { callDriver, type Dialect } from "../dialect.js";
import { canFinalize, finalizersMayAct, isThenable } from "../host.js";
import { Log, type PoolLogger } from "../logger.js";
import { hasCrashed } from "./instance.js";
import type { Policy } from "./policy.js";

/** The open connections of one scope, by the index of their slots. */
export type OpenConnections = unknown[];

interface Estate {
  readonly open: OpenConnections;
  /** Holds no pool either. It knows which connections are with a lease holder that has dropped the lease. */
  readonly policy: Policy;
  readonly pool: string;
  readonly dialect: WeakRef<Dialect<any>>;
  readonly logger: WeakRef<PoolLogger>;
}

const registry = canFinalize && finalizersMayAct ? new FinalizationRegistry<Estate>(closeIdle) : undefined;

/** Returns the list of the open connections of a scope, which are closed when `owner` is collected. */
export function openConnectionsOf(owner: object, policy: Policy, dialect: Dialect<any>, log: Log): OpenConnections {
  const open: OpenConnections = [];
  registry?.register(owner, {
    open,
    policy,
    pool: log.pool,
    dialect: new WeakRef(dialect),
    logger: new WeakRef(log.logger),
  });
  return open;
}

function closeIdle({ open, policy, pool, dialect, logger }: Estate): void {
  if (hasCrashed()) return;
  const idle = open.filter((connection, index) => connection !== undefined && !policy.isInUse(index));
  if (idle.length === 0) return;
  const target = logger.deref();
  const log = target && new Log(target, pool, null);
  const failed = (error: unknown): void => log?.error("close of a connection failed", error);
  log?.warn(`the pool was garbage-collected without close(): its idle connections are closed, ${idle.length} of them`);
  for (const connection of idle) {
    try {
      const answer = callDriver(dialect.deref() ?? {}, "close", connection);
      if (isThenable(answer)) Promise.resolve(answer).then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  }
}
