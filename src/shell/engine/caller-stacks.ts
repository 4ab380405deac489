/**
 * Gives the error of a refused caller the stack of that caller, and says so if the caller holds a connection already.
 * The pool refuses waiters in its timer, whose stack says nothing of them.
 */

import { PoolTimeoutError, type PoolError } from "../errors.js";

const host = Error as unknown as {
  captureStackTrace?(holder: object, below: Function): void;
  stackTraceLimit?: number;
};

interface Lack {
  /** The name of the pool's use(). */
  readonly nameOfUse: string;
  /** Taken when the caller called, if the pool keeps stacks. */
  readonly stack: string | undefined;
}

/** What the errors without the stack of their caller need. */
const lacking = new WeakMap<object, Lack>();

/** Takes a new error, which lacks its caller's stack unless the caller is refused at once. */
export function withoutCallerStack<E extends PoolError>(error: E, lack: Lack): E {
  lacking.set(error, lack);
  return error;
}

/** Whether the pool built the error, without the stack of its caller. */
export function lacksCallerStack(error: unknown): boolean {
  return lacking.has(error as object);
}

/**
 * Rejects the promise of a suspended caller, which `resolve` resolves. V8 shows a handler the functions that await the
 * promise behind it. Therefore the caller's promise follows that of the handler before the handler is called.
 */
export function rejectBy(resolve: (value: Promise<never>) => unknown, error: unknown): void {
  let reject: (error: unknown) => void = () => {};
  const rejected = new Promise<never>((_, rejectIt) => (reject = rejectIt));
  resolve(lacksCallerStack(error) ? rejected.catch(rethrowWithStack) : rejected);
  reject(error);
}

function rethrowWithStack(error: PoolError): never {
  const { nameOfUse, stack } = lacking.get(error) as Lack;
  lacking.delete(error);
  const frames = error instanceof PoolTimeoutError && error.step === "wait" ? longStack(rethrowWithStack) : [];
  const isNested = frames.slice(1).some((frame) => frame.includes(nameOfUse));
  if (isNested) error.message += nested;
  if (stack === undefined && !isNested) host.captureStackTrace?.(error, rethrowWithStack);
  else {
    // Newer hosts keep the head of the first stack.
    const shown = stack ?? frames.slice(0, host.stackTraceLimit).join("\n");
    error.stack = stacksHaveHeads ? `${error.name}: ${error.message}\n${shown}` : shown;
  }
  throw error;
}

const nested =
  "; the caller waits inside the function of another use() of this pool, so it holds one connection already (nested " +
  "use)";

const stacksHaveHeads = String(new Error("head").stack).startsWith("Error: head");

/**
 * Returns the frames of the present stack, more than the host's limit: the outer use() may be far away. The first frame
 * may be that of the use() that waits itself.
 */
function longStack(below: Function): string[] {
  const holder: { stack?: unknown } = {};
  const { stackTraceLimit } = host;
  try {
    host.stackTraceLimit = 100;
    host.captureStackTrace?.(holder, below);
    host.stackTraceLimit = stackTraceLimit as number;
    return String(holder.stack).split("\n").slice(1);
  } catch {
    // Error may be frozen, and a program's prepareStackTrace may throw.
    return [];
  }
}

/** Returns the stack of the code that called the pool's method that called this function, if the host has one. */
export function stackBelow(called: Function): string | undefined {
  const holder: { stack?: unknown } = {};
  try {
    host.captureStackTrace?.(holder, called);
    const { stack } = holder;
    // A program's Error.prepareStackTrace may return the call sites, or whatever it likes.
    if (Array.isArray(stack)) return stack.slice(1).map(lineOf).join("\n");
    if (stack !== undefined && typeof stack !== "string") return undefined;
    // A host that drops the frames of tail calls (Bun) may have nothing below the function: then the whole stack.
    return stack?.split("\n").slice(2).join("\n") || String(new Error().stack);
  } catch {
    return undefined;
  }
}

function lineOf(site: unknown): string {
  return `    at ${site}`;
}
