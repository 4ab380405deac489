/**
 * edgepool/diagnostics: publishes what every pool does on TracingChannels of `node:diagnostics_channel`. The import
 * alone switches that on, for every pool made before or after. In a host without the module it does nothing.
 *
 * @module
 */

import type { PooledConnection } from "../lease.js";
import { Pool } from "../pool.js";
import type { ConnectionRecord } from "../record.js";
import { observerFor } from "./channel-observer.js";
import { isInUse, whileInUse, type DiagnosticsChannel } from "./switch.js";

/** What every message has. One message object goes through all events of one call. */
export interface PoolMessage<Result> {
  readonly pool: Pool<any>;
  /** What the call threw, or rejected with; since the event `error`. */
  error?: unknown;
  /** What the call returned, or resolved with; since the events `end` or `asyncStart`. */
  result?: Result;
}

/** Of `edgepool:checkout`: one connect(), from its call to its lease. */
export type CheckoutMessage = PoolMessage<PooledConnection<any>>;

/** Of `edgepool:open`: one call of the creator. */
export interface OpenMessage extends PoolMessage<unknown> {
  readonly record: ConnectionRecord<any>;
}

/** Of `edgepool:ping`: one call of the dialect's doPing. */
export interface PingMessage extends PoolMessage<unknown> {
  readonly connection: unknown;
  readonly record: ConnectionRecord<any>;
}

/** Of `edgepool:reset`: one reset at a return. */
export interface ResetMessage extends PoolMessage<unknown> {
  readonly call: "rollback" | "commit" | "session reset";
  readonly connection: unknown;
  /** The slot, or the one that the connection has left. */
  readonly record: ConnectionRecord<any>;
}

/** Of `edgepool:close`: the end of one connection. */
export interface CloseMessage extends PoolMessage<unknown> {
  /** `"terminate"`: abruptly, because the connection is not trusted. */
  readonly call: "close" | "terminate";
  readonly connection: unknown;
  /** The slot, or the one that the connection has left. Null if it arrived after its opening had timed out. */
  readonly record: ConnectionRecord<any> | null;
  /** The error because of which the connection is not trusted, if there is one. */
  readonly reason: unknown;
}

const { process } = globalThis as { process?: { getBuiltinModule?(name: string): DiagnosticsChannel | undefined } };

function diagnosticsChannel(): DiagnosticsChannel | undefined {
  try {
    return process?.getBuiltinModule?.("node:diagnostics_channel");
  } catch {
    // A host may have the name alone.
    return undefined;
  }
}

const module = diagnosticsChannel();
if (typeof module?.tracingChannel === "function") {
  const { tracingChannel } = module;
  const names = ["checkout", "open", "ping", "reset", "close"] as const;
  const channels = new Map(names.map((name) => [name, tracingChannel(`edgepool:${name}`)] as const));
  const observer = observerFor(channels, isInUse);
  whileInUse(module, channels, () => Pool.observe(observer));
}
