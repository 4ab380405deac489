/**
 * Copies the properties of a thrown object that cross RPC beside its name and message: plain data, and little enough
 * that the error always arrives. Clients, sockets, functions and instances of classes stay behind. Called by
 * failure.ts.
 */

const mostProperties = 40;

/** The most values, and units of text and bytes, of one property. Longer ones are cut. */
export const mostUnits = 10_000;

/** The most levels within a property. */
const deepest = 4;

/**
 * The object's own enumerable properties without the named ones, as far as they are plain data. A getter that throws is
 * left out.
 */
export function plainPropertiesOf(source: object, without: readonly string[]): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const key of Object.keys(source)
    .filter((name) => !without.includes(name))
    .slice(0, mostProperties)) {
    const value = tried(() => plainOf((source as Record<string, unknown>)[key]));
    if (value !== undefined) plain[key] = value;
  }
  return plain;
}

/** Returns the result of `read`; undefined if it throws. */
export function tried<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Returns a copy; undefined if the value is not plain data. */
function plainOf(whole: unknown): unknown {
  let left = mostUnits;

  const counted = <T extends string | Uint8Array>(data: T): T => {
    left -= data.length;
    return data;
  };

  const copyOf = (value: unknown, depth: number): unknown => {
    if (left-- <= 0 || typeof value === "function" || typeof value === "symbol") return undefined;
    if (typeof value === "string") return counted(value.slice(0, left));
    if (typeof value !== "object" || value === null) return value;
    if (value instanceof Date) return new Date(value.getTime());
    // A copy of a Buffer's own bytes, without the memory that they are a part of.
    if (value instanceof Uint8Array) return counted(Uint8Array.from(value.subarray(0, left)));
    if (depth === 0) return undefined;
    if (Array.isArray(value)) return Array.from(value.slice(0, left), (item) => copyOf(item, depth - 1));
    if (value instanceof Error)
      return { name: copyOf(value.name, 0), message: copyOf(value.message, 0), ...propertiesOf(value, depth - 1) };
    const prototype: unknown = Object.getPrototypeOf(value);
    return prototype === Object.prototype || prototype === null ? propertiesOf(value, depth - 1) : undefined;
  };

  const propertiesOf = (object: object, depth: number): Record<string, unknown> => {
    const copy: Record<string, unknown> = {};
    for (const key of Object.keys(object)) {
      if (left <= 0) break;
      const value = copyOf((object as Record<string, unknown>)[key], depth);
      if (value !== undefined) copy[key] = value;
    }
    return copy;
  };

  return copyOf(whole, deepest);
}
