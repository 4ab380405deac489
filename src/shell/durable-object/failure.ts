/**
 * How an error crosses RPC. Of one that is thrown, older compatibility dates keep the message alone, and every date
 * loses all properties where one of them cannot be sent. So a call that failed is answered with a {@link Failure},
 * plain data, from which the caller's side makes the error again. Decides nothing else; both sides call it.
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
import { show } from "../validate.js";
import { mostUnits, plainPropertiesOf, tried } from "./rpc-data.js";

/**
 * An error as data: its own enumerable properties as far as they are plain data (`code`, `detail`, `constraint`, …).
 */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly properties: Record<string, unknown>;
  readonly cause?: Failure;
  /** Those of an AggregateError. */
  readonly errors?: readonly Failure[];
}

/** What a call gave. */
export type Outcome<T> = { readonly value: T } | { readonly failure: Failure };

/** Deep enough for the pool's error, the creator's behind it, and the socket's behind that. */
const deepestCause = 3;

/** So many of the errors of an AggregateError, the first. */
const mostErrors = 8;

const poolErrors = new Map<string, { prototype: PoolError }>(
  [
    PoolError,
    ArgumentError,
    AssertionError,
    DisconnectionError,
    InvalidRequestError,
    PoolClosedError,
    PoolCrashedError,
    PoolTimeoutError,
    QueueFullError,
  ].map((kind) => [kind.prototype.name, kind]),
);

/** The call's value or its failure; never rejects. */
export async function outcomeOf<T>(call: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await call() };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

/** What was thrown, as data. Never throws, whatever it is. */
export function failureOf(thrown: unknown, depth = deepestCause): Failure {
  const failure = tried(() =>
    typeof thrown === "object" && thrown !== null ? failureOfObject(thrown, depth) : textFailure(String(thrown)),
  );
  return failure ?? textFailure(`${show(thrown)} was thrown`);
}

function textFailure(text: string): Failure {
  return { name: "Error", message: text.slice(0, mostUnits), properties: {} };
}

function failureOfObject(thrown: object, depth: number): Failure {
  const read = (key: string): unknown => tried(() => (thrown as Record<string, unknown>)[key]);
  const [name, message, cause, errors] = ["name", "message", "cause", "errors"].map(read);
  const all =
    thrown instanceof AggregateError && Array.isArray(errors) && depth > 0
      ? errors.slice(0, mostErrors).map((error) => failureOf(error, 0))
      : undefined;
  const fallback =
    all?.map((failure) => failure.message).join("; ") ?? (thrown instanceof Error ? "" : `${show(thrown)} was thrown`);
  return {
    name: typeof name === "string" && name !== "" ? name : "Error",
    message: (typeof message === "string" && message !== "" ? message : fallback).slice(0, mostUnits),
    properties: plainPropertiesOf(thrown, ["name", "message", "cause", ...(all === undefined ? [] : ["errors"])]),
    ...(cause === undefined || depth === 0 ? {} : { cause: failureOf(cause, depth - 1) }),
    ...(all === undefined ? {} : { errors: all }),
  };
}

/** The error again. The pool's own are of their class; a driver's is an Error with the name and properties it had. */
export function errorOf({ name, message, properties, cause, errors }: Failure): Error {
  const options = cause === undefined ? undefined : { cause: errorOf(cause) };
  const error =
    errors === undefined ? new Error(message, options) : new AggregateError(errors.map(errorOf), message, options);
  const { code } = properties;
  const kind = typeof code === "string" && code.startsWith("ERR_POOL_") ? poolErrors.get(name) : undefined;
  if (kind !== undefined) Object.setPrototypeOf(error, kind.prototype);
  else if (name !== error.name)
    Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
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
