/** What console.log and JSON.stringify show of the pool's objects: a summary, never a connection or its settings. */

type Summary = Record<string, unknown>;
type Inspect = (value: unknown, options?: unknown) => string;

/**
 * Makes the instances of a class show a summary; called when the first is about to be made, so that bundlers leave out
 * classes that a program does not use. Showing an object never throws: of a proxy of it, of the prototype, or
 * after a crash of the pool, little more than the name is shown. `name`: instead of that of the class.
 */
export function summarize<T extends object>(prototype: T, summaryOf: (instance: T) => Summary, name?: string): void {
  if (Object.hasOwn(prototype, "toJSON")) return;
  const summary = (instance: T): Summary => {
    try {
      return summaryOf(instance);
    } catch {
      return {};
    }
  };
  const shown = (instance: T, inspect: Inspect, options: unknown): string =>
    `${name ?? nameOfClass(instance)} ${inspect(summary(instance), options)}`;
  const methods: Record<PropertyKey, Function> = {
    toJSON(this: T) {
      return summary(this);
    },
    [Symbol.for("nodejs.util.inspect.custom")](this: T, _depth: number, options: unknown, inspect: Inspect) {
      return shown(this, inspect, options);
    },
    [Symbol.for("Deno.customInspect")](this: T, inspect: Inspect, options: unknown) {
      return shown(this, inspect, options);
    },
  };
  for (const key of Reflect.ownKeys(methods))
    Object.defineProperty(prototype, key, { value: methods[key], configurable: true, writable: true });
}

/** Returns the name of the class of a value, or its type. */
export function nameOfClass(value: unknown): string {
  try {
    const { name } = (value as object).constructor;
    return typeof name === "string" && name !== "" ? name : typeof value;
  } catch {
    return typeof value;
  }
}
