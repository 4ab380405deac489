/** Reads the options of pg.Pool, and names them as {@link QueuePool} does. */

import { ArgumentError } from "edgepool";
import type { Duration, PoolLogger, PoolSizes, QueuePoolOptions } from "edgepool";
import type { Client, ClientClass } from "./client.js";

/** What pg.Pool reads of its options. Every option goes to the clients, too. */
export interface Options extends Record<string, unknown> {
  max: number;
  min: number;
  maxUses: number;
  maxLifetimeSeconds: number;
  allowExitOnIdle: boolean;
  idleTimeoutMillis: number | null;
  poolSize?: number;
  ssl?: unknown;
  pipeline?: unknown;
  query_timeout?: unknown;
  connectionTimeoutMillis?: number;
  endTimeoutMillis?: number;
  edgepool?: QueuePoolOptions<Client>;
  log?: (...messages: unknown[]) => void;
  Client?: ClientClass;
  Promise?: PromiseConstructor;
  onConnect?: (client: Client) => unknown;
  verify?: (client: Client, done: (error?: Error) => void) => void;
}

/** Returns a copy of what the user gave, completed. A password and a key of TLS are not enumerable: logs lack them. */
export function completed(given: unknown): Options {
  const config: object = typeof given === "string" ? { connectionString: given } : ((given ?? {}) as object);
  const options = { ...config } as Options;
  const { ssl } = options;
  if (ssl !== null && typeof ssl === "object") {
    options.ssl = { ...ssl };
    hide(options.ssl as object, "key", ssl);
  }
  hide(options, "password", config);
  options.max = options.max || options.poolSize || 10;
  options.min ||= 0;
  options.maxUses ||= Infinity;
  options.maxLifetimeSeconds ||= 0;
  options.allowExitOnIdle ||= false;
  if (options.pipeline === true && options.query_timeout) {
    throw new ArgumentError("query_timeout would end the other queries of a pipeline: give statement_timeout instead");
  }
  if (options.idleTimeoutMillis === undefined) options.idleTimeoutMillis = 10_000;
  return options;
}

function hide(target: object, name: string, from: object): void {
  if (!(name in from)) return;
  const { [name]: value } = from as Record<string, unknown>;
  Object.defineProperty(target, name, { value, enumerable: false, configurable: true, writable: true });
}

/** Returns milliseconds as a duration; undefined for what means no limit in pg.Pool. */
export function duration(milliseconds: unknown): Duration | undefined {
  return milliseconds && milliseconds !== Infinity ? `${Number(milliseconds)}ms` : undefined;
}

/** The options that may change while the pool runs. */
export type Limits = Pick<Options, "max" | "min" | "idleTimeoutMillis" | "maxUses" | "maxLifetimeSeconds">;

export function limitsOf({ max, min, idleTimeoutMillis, maxUses, maxLifetimeSeconds }: Options): Limits {
  return { max, min, idleTimeoutMillis, maxUses, maxLifetimeSeconds };
}

/** Whether they are others than they were. */
export function haveChanged(limits: Limits, options: Options): boolean {
  return (
    limits.max !== options.max ||
    limits.min !== options.min ||
    limits.idleTimeoutMillis !== options.idleTimeoutMillis ||
    limits.maxUses !== options.maxUses ||
    limits.maxLifetimeSeconds !== options.maxLifetimeSeconds
  );
}

/** Returns these limits as resize() of the pool takes them. */
export function queueLimits({ max, min, idleTimeoutMillis, maxUses, maxLifetimeSeconds }: Limits): PoolSizes {
  const size = Math.ceil(Number(max));
  return {
    poolSize: size === Infinity ? 0 : size,
    min: Number(min),
    idleTimeout: duration(idleTimeoutMillis) ?? null,
    maxUses: Number(maxUses || Infinity),
    // More than the pool counts is no limit.
    maxAge: duration(maxLifetimeSeconds * 1000) ?? "1000h",
  };
}

/**
 * Returns the options of the pool. Those of `edgepool` come last. The pool opens nothing by itself and tries no opening
 * again: pg.Pool does neither.
 */
export function queueOptions(options: Options, logger: PoolLogger): QueuePoolOptions<Client> {
  const deadline = duration(options.connectionTimeoutMillis);
  return {
    ...queueLimits(options),
    maxOverflow: 0,
    refill: false,
    useLifo: true,
    timeout: null,
    deadline,
    openTimeout: deadline,
    openRetry: false,
    // The driver's own client is lent, and it is the same object each time.
    guard: false,
    // The client keeps its lease, so no lease is collected.
    trackLeaks: false,
    logger,
    ...options.edgepool,
  };
}
