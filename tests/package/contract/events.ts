// Every event with its arguments.

import type {
  ConnectionRecord,
  ListenOptions,
  PooledConnection,
  PoolEvents,
  PoolOperation,
  ResetState,
} from "edgepool";
import { holds, type Connection, type Flat, type Same } from "./same.js";

type C = Connection;
type Slot = ConnectionRecord<C>;
type Arguments = { [E in keyof PoolEvents<C>]: Parameters<PoolEvents<C>[E]> };

holds<
  Same<
    Arguments,
    {
      connect: [connection: C, record: Slot];
      firstConnect: [connection: C, record: Slot];
      checkout: [connection: C, record: Slot, lease: PooledConnection<C>];
      checkin: [connection: C | null, record: Slot];
      reset: [connection: C, record: Slot | null, state: ResetState];
      invalidate: [connection: C, record: Slot, error: unknown];
      softInvalidate: [connection: C, record: Slot, error: unknown];
      close: [connection: C, record: Slot];
      detach: [connection: C, record: Slot];
      closeDetached: [connection: C];
      held: [record: Slot, milliseconds: number, stack: string | undefined];
      error: [error: unknown, context: { operation: PoolOperation; record: Slot | null }];
    }
  >
>();
// Sync or async, with any answer.
holds<Same<{ [E in keyof PoolEvents<C>]: ReturnType<PoolEvents<C>[E]> }, Record<keyof PoolEvents<C>, unknown>>>();

holds<
  Same<
    Flat<ResetState>,
    { readonly transactionWasReset: boolean; readonly terminateOnly: boolean; readonly asyncioSafe: boolean }
  >
>();
holds<Same<Flat<ListenOptions>, { once?: boolean | undefined; insert?: boolean | undefined }>>();
holds<
  Same<
    PoolOperation,
    "open" | "ping" | "reset" | "close" | "terminate" | "finalize" | "listener" | "leak" | "disconnect"
  >
>();
