/**
 * How an error crosses RPC. Older compatibility dates keep only the message of a thrown error, and every date loses all
 * of its properties if one of them cannot be sent. So a failed call returns a {@link Failure}, plain data, from which
 * the caller's side makes the error again. Decides nothing else; both sides call it.
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
  /** The frames of its stack. */
  readonly frames?: readonly string[];
  readonly cause?: Failure;
  /** The errors of an AggregateError. */
  readonly errors?: readonly Failure[];
}

/** The result of a call: its value or its failure. */
export type Outcome<T> = { readonly value: T } | { readonly failure: Failure };

/** Deep enough for the pool's error, the creator's behind it, and the socket's behind that. */
const deepestCause = 3;

/** How many errors of an AggregateError cross: the first ones. */
const mostErrors = 8;

/** How many frames of a stack cross, and how much of each. */
const mostFrames = 20;
const longestFrame = 300;

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

/** Returns the call's value or its failure; never rejects. */
export async function outcomeOf<T>(call: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await call() };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

/** Returns a thrown value as data. Never throws. */
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
  const stack = read("stack");
  const frames = typeof stack === "string" ? framesOf(stack) : [];
  return {
    name: typeof name === "string" && name !== "" ? name : "Error",
    message: (typeof message === "string" && message !== "" ? message : fallback).slice(0, mostUnits),
    properties: plainPropertiesOf(thrown, [
      "name",
      "message",
      "stack",
      "cause",
      ...(all === undefined ? [] : ["errors"]),
    ]),
    ...(frames.length === 0 ? {} : { frames }),
    ...(cause === undefined || depth === 0 ? {} : { cause: failureOf(cause, depth - 1) }),
    ...(all === undefined ? {} : { errors: all }),
  };
}

function framesOf(stack: string): string[] {
  return stack
    .split("\n")
    .filter((line) => /^\s+at /.test(line))
    .slice(0, mostFrames)
    .map((line) => line.slice(0, longestFrame));
}

/**
 * Makes the error again: a pool's error of its class; a driver's as an Error with its name and properties. Its stack
 * has the caller's frames first, then those of the object.
 */
export function errorOf({ name, message, properties, frames, cause, errors }: Failure): Error {
  const options = cause === undefined ? undefined : { cause: errorOf(cause) };
  const error =
    errors === undefined ? new Error(message, options) : new AggregateError(errors.map(errorOf), message, options);
  const { code } = properties;
  const kind = typeof code === "string" && code.startsWith("ERR_POOL_") ? poolErrors.get(name) : undefined;
  if (kind !== undefined) Object.setPrototypeOf(error, kind.prototype);
  else if (name !== error.name)
    Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  if (frames !== undefined) {
    const own = framesOf(error.stack ?? "");
    const stack = [`${name}: ${message}`, ...own, "    in the Durable Object:", ...frames].join("\n");
    Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
  }
  return Object.assign(error, properties);
}

/** For callers without poolOf(): throws the error with its code in the message, which every date keeps. */
export async function valueOrThrow<T>(outcome: Promise<Outcome<T>>): Promise<T> {
  const settled = await outcome;
  if ("value" in settled) return settled.value;
  const { failure } = settled;
  const { code } = failure.properties;
  const hasCode = typeof code !== "string" || failure.message.includes(code);
  throw errorOf(hasCode ? failure : { ...failure, message: `${failure.message} (${code})` });
}
