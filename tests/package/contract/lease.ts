// What a caller holds: the lease, and the record behind it.

import type { ConnectionRecord, PooledConnection } from "edgepool";
import { holds, type Connection, type Flat, type Same } from "./same.js";

type C = Connection;
type Info = Record<PropertyKey, unknown>;
type Read<T, K extends keyof T> = Flat<Pick<T, K>>;

holds<
  Same<
    keyof PooledConnection<C>,
    | "connection"
    | "record"
    | "info"
    | "recordInfo"
    | "isValid"
    | "isDetached"
    | "close"
    | "invalidate"
    | "detach"
    | typeof Symbol.asyncDispose
  >
>();
holds<
  Same<
    Read<PooledConnection<C>, "connection" | "record" | "info" | "recordInfo" | "isValid" | "isDetached">,
    {
      readonly connection: C;
      readonly record: ConnectionRecord<C> | null;
      readonly info: Info;
      readonly recordInfo: Info | null;
      readonly isValid: boolean;
      readonly isDetached: boolean;
    }
  >
>();
holds<Same<Parameters<PooledConnection<C>["close"]>["length"], 0 | 1>>();
holds<
  Same<
    Flat<NonNullable<Parameters<PooledConnection<C>["close"]>[0]>>,
    { transactionWasReset?: boolean | undefined; error?: unknown }
  >
>();
holds<Same<ReturnType<PooledConnection<C>["close"]>, Promise<void>>>();
holds<Same<Parameters<PooledConnection<C>["invalidate"]>["length"], 0 | 1 | 2>>();
holds<Same<Parameters<PooledConnection<C>["invalidate"]>[0], unknown>>();
holds<
  Same<
    Flat<NonNullable<Parameters<PooledConnection<C>["invalidate"]>[1]>>,
    { soft?: boolean | undefined; pool?: boolean | undefined }
  >
>();
holds<Same<ReturnType<PooledConnection<C>["invalidate"]>, Promise<void>>>();
holds<Same<PooledConnection<C>["detach"], () => Promise<void>>>();
holds<Same<PooledConnection<C>[typeof Symbol.asyncDispose], () => Promise<void>>>();
export const disposable = (lease: PooledConnection<C>): AsyncDisposable => lease;
/** Made by pools alone: no statement here makes one. */
export const scope = async (lease: Promise<PooledConnection<C>>): Promise<number> =>
  (await lease).connection.query("SELECT 1");

holds<
  Same<
    keyof ConnectionRecord<C>,
    "connection" | "info" | "recordInfo" | "scope" | "inUse" | "lastConnectTime" | "finalize" | "invalidate" | "close"
  >
>();
holds<
  Same<
    Read<ConnectionRecord<C>, "connection" | "info" | "recordInfo" | "scope" | "inUse" | "lastConnectTime">,
    {
      readonly connection: C | null;
      readonly info: Info;
      readonly recordInfo: Info;
      readonly scope: object | undefined;
      readonly inUse: boolean;
      readonly lastConnectTime: number;
    }
  >
>();
holds<Same<ConnectionRecord<C>["finalize"], (callback: (connection: C) => unknown) => void>>();
holds<
  Same<ConnectionRecord<C>["invalidate"], (error?: unknown, options?: { soft?: boolean | undefined }) => Promise<void>>
>();
holds<Same<ConnectionRecord<C>["close"], () => Promise<void>>>();
