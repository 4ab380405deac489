/**
 * Makes values ready for RPC: the values of a statement, and those of its rows. RPC copies bytes with all of the memory
 * that they are a view of, sends functions as stubs, and refuses most instances. Here bytes get memory of their own,
 * and what cannot arrive as what it is is refused by its place and name. Called by statements.ts and run-query.ts.
 */

import { ArgumentError } from "../errors.js";
import { show } from "../validate.js";

/** The place of a value, from the inside out. */
interface Place {
  readonly key: string;
  readonly within: Place | undefined;
}

/** Why a value cannot be sent. */
type Refuse = (what: string) => Error;

/** The most levels. An object that contains itself has more. */
const deepest = 200;

/** Returns the error for values that RPC refuses. */
export function cannotBeValue(why: string): ArgumentError {
  return new ArgumentError(
    `values must be strings, numbers, booleans, bigints, dates, bytes, arrays, plain objects, Maps, Sets or null, of ` +
      `32 MiB at most, to be sent to a Durable Object: ${why}`,
  );
}

/** Returns the error for a result that RPC refuses. */
export function cannotBeSent(why: string): ArgumentError {
  return new ArgumentError(
    `the result cannot be sent from the Durable Object, though what was asked for ran: ask for less (LIMIT), cast ` +
      `the value (CAST(… AS text)), or convert it in runQuery: ${why}`,
  );
}

/** Returns the values of a statement, or throws. An instance of a class is refused: it would lose its class. */
export function sendableValues(values: readonly unknown[], place: string): readonly unknown[] {
  return new Copying(cannotBeValue, false).list(values, { key: place, within: undefined }, 0);
}

/**
 * Returns a row, or throws. An instance of a class, such as pg's interval, arrives as a plain object of its own
 * properties; one without any is refused.
 */
export function sendableRow(row: object, index: number): object {
  const copying = new Copying(cannotBeSent, true);
  const place = { key: `rows[${index}]`, within: undefined };
  return Array.isArray(row) ? (copying.list(row, place, 0) as unknown[]) : copying.properties(row, place, 0);
}

/** Returns the bytes with a memory that holds nothing else. */
export function ownBytes(bytes: ArrayBufferView): ArrayBufferView {
  const { buffer, byteOffset, byteLength } = bytes;
  if (byteLength === buffer.byteLength) return bytes;
  const copy = buffer.slice(byteOffset, byteOffset + byteLength);
  if (bytes instanceof Uint8Array) return new Uint8Array(copy);
  return new (bytes.constructor as new (buffer: ArrayBufferLike) => ArrayBufferView)(copy);
}

/** Whether a value of a statement is one that drivers write as `{}`, or has such a one within. */
export function holdsCollection(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof Map || value instanceof Set) return true;
  if (value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return false;
  return Object.values(value).some(holdsCollection);
}

/** Returns the value itself if nothing in it has to change. */
class Copying {
  readonly #refuse: Refuse;
  readonly #takesInstances: boolean;

  constructor(refuse: Refuse, takesInstances: boolean) {
    this.#refuse = refuse;
    this.#takesInstances = takesInstances;
  }

  list(list: readonly unknown[], place: Place, depth: number): readonly unknown[] {
    let copy: unknown[] | undefined;
    for (let index = 0; index < list.length; index++) {
      const value = list[index];
      if (isPlain(value)) continue;
      const sendable = this.#value(value, { key: `[${index}]`, within: place }, depth + 1);
      if (sendable !== value) (copy ??= [...list])[index] = sendable;
    }
    return copy ?? list;
  }

  properties(object: object, place: Place, depth: number): object {
    const prototype: unknown = Object.getPrototypeOf(object);
    let copy: Record<string, unknown> | undefined = prototype === Object.prototype ? undefined : { ...object };
    for (const key of Object.keys(object)) {
      const value = (object as Record<string, unknown>)[key];
      if (isPlain(value)) continue;
      const sendable = this.#value(value, { key: `.${key}`, within: place }, depth + 1);
      if (sendable !== value) (copy ??= { ...object })[key] = sendable;
    }
    return copy ?? object;
  }

  #value(value: unknown, place: Place, depth: number): unknown {
    if (typeof value !== "object" || value === null || depth > deepest) throw this.#refused(value, place, depth);
    if (ArrayBuffer.isView(value)) return ownBytes(value);
    if (value instanceof Date || value instanceof ArrayBuffer) return value;
    if (Array.isArray(value)) return this.list(value, place, depth);
    if (value instanceof Map) return new Map(this.list([...value], place, depth) as [unknown, unknown][]);
    if (value instanceof Set) return new Set(this.list([...value], place, depth));
    const prototype: unknown = Object.getPrototypeOf(value);
    const isInstance = prototype !== Object.prototype && prototype !== null;
    if (isInstance && !(this.#takesInstances && Object.keys(value).length > 0))
      throw this.#refused(value, place, depth);
    return this.properties(value, place, depth);
  }

  #refused(value: unknown, place: Place, depth: number): Error {
    if (depth > deepest) return this.#refuse(`${keysOf(place)[0]} has more than ${deepest} levels`);
    return this.#refuse(`${keysOf(place).join("")} is ${show(value)}`);
  }
}

/** Whether RPC sends the value as it is. */
function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case "object":
      return value === null;
    case "function":
    case "symbol":
      return false;
    default:
      return true;
  }
}

function keysOf({ key, within }: Place): string[] {
  return within === undefined ? [key] : [...keysOf(within), key];
}
