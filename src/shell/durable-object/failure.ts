/**
 * How an error crosses RPC. Of one that is thrown, older compatibility dates keep the message alone, and every date loses
 * all properties where one of them cannot be cloned. So a call that failed is answered with a {@link Failure}, plain data,
 * from which the caller's side makes the error again. Decides nothing else; both sides call it.
 */

import {
  ArgumentError,
  AssertionError,
  DisconnectionError,
  InvalidRequestError,
  PoolClosedError,
  PoolCrashedError,
  PoolError,
  PoolTimeoutError,
  QueueFullError,
} from "../errors.js";

/** An error as data: its own enumerable properties as far as they can be cloned (`code`, `detail`, `constraint`, …). */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly properties: Record<string, unknown>;
  readonly cause?: Failure;
}

/** What a call gave. */
export type Outcome<T> = { readonly value: T } | { readonly failure: Failure };

/** Deep enough for the pool's error, the creator's behind it, and the socket's behind that. */
const deepestCause = 3;

const poolErrors = new Map<string, { prototype: PoolError }>(
  [PoolError, ArgumentError, AssertionError, DisconnectionError, InvalidRequestError, PoolClosedError, PoolCrashedError, PoolTimeoutError, QueueFullError].map(
    (kind) => [kind.prototype.name, kind],
  ),
);

/** The call's value or its failure; never rejects. */
export async function outcomeOf<T>(call: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await call() };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

/** The error as data. */
export function failureOf(error: unknown, depth = deepestCause): Failure {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), properties: {} };
  const properties: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(error)) {
    if (key !== "cause" && isCloneable(value)) properties[key] = value;
  }
  const failure = { name: error.name, message: error.message, properties };
  return error.cause === undefined || depth === 0 ? failure : { ...failure, cause: failureOf(error.cause, depth - 1) };
}

/** The error again. The pool's own are of their class; a driver's is an Error with the name and properties it had. */
export function errorOf({ name, message, properties, cause }: Failure): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause: errorOf(cause) });
  const kind = String(properties["code"]).startsWith("ERR_POOL_") ? poolErrors.get(name) : undefined;
  if (kind !== undefined) Object.setPrototypeOf(error, kind.prototype);
  else if (name !== "Error") Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  return Object.assign(error, properties);
}

/** For who calls the object without poolOf(): the error is thrown, its code in the message, which every date keeps. */
export async function valueOrThrow<T>(outcome: Promise<Outcome<T>>): Promise<T> {
  const settled = await outcome;
  if ("value" in settled) return settled.value;
  const { failure } = settled;
  const { code } = failure.properties;
  const isTold = typeof code !== "string" || failure.message.includes(code);
  throw errorOf(isTold ? failure : { ...failure, message: `${failure.message} (${code})` });
}

function isCloneable(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return typeof value !== "function" && typeof value !== "symbol";
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}
