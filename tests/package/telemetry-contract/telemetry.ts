// edgepool/otel with the types of OpenTelemetry, and the messages of edgepool/diagnostics.

import { metrics } from "@opentelemetry/api";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { NullPool, QueuePool, StaticPool, type ConnectionRecord, type Pool, type PooledConnection } from "edgepool";
import type {
  CheckoutMessage,
  CloseMessage,
  OpenMessage,
  PingMessage,
  PoolMessage,
  ResetMessage,
} from "edgepool/diagnostics";
import { attachMeter, type MeteredPool, type MeterOptions, type PoolMetrics } from "edgepool/otel";
import { Pool as PgPool } from "edgepool/pg";

const create = (): { id: number } => ({ id: 1 });
const queue = new QueuePool(create);
const meter = metrics.getMeter("edgepool");

export const attached: PoolMetrics[] = [
  attachMeter(queue, meter),
  attachMeter(new NullPool(create), new MeterProvider().getMeter("edgepool"), { poolName: "shop" }),
  attachMeter(new StaticPool(create), meter, {}),
  attachMeter(new PgPool(), meter),
];
export const pools: MeteredPool[] = [queue, new PgPool(), { queuePool: queue }];
export const options: MeterOptions = { poolName: undefined };

export function program(): void {
  using metered = attachMeter(queue, meter);
  metered.detach();
  // @ts-expect-error: no pool
  attachMeter({}, meter);
  // @ts-expect-error: no meter
  attachMeter(queue, {});
  // @ts-expect-error: no such option
  attachMeter(queue, meter, { name: "shop" });
}

export function read(
  checkout: CheckoutMessage,
  open: OpenMessage,
  ping: PingMessage,
  reset: ResetMessage,
  close: CloseMessage,
): unknown[] {
  const message: PoolMessage<unknown> = checkout;
  const pool: Pool<any> = message.pool;
  const lease: PooledConnection<any> | undefined = checkout.result;
  const records: Array<ConnectionRecord<any> | null> = [open.record, ping.record, reset.record, close.record];
  const calls: Array<"rollback" | "commit" | "session reset" | "close" | "terminate"> = [reset.call, close.call];
  return [pool, lease, records, calls, ping.connection, reset.connection, close.connection, close.reason, open.error];
}
