/**
 * How the Worker's side calls a PoolObject or a lease of it, and reads the answer: as a typed value, or as the error
 * that was thrown there. Called by pool-of.ts and remote-lease.ts.
 */

import type { Caller, CallerStub } from "./caller.js";
import { errorOf, type Outcome } from "./failure.js";
import { cannotBeSent, cannotBeValue } from "./rpc-values.js";
import {
  type CheckedStatement,
  type QueryResult,
  readWith,
  type Settings,
  type Statement,
  type StatementConfig,
  type ValueTypes,
} from "./statements.js";

/** The wire: one method, on the object and on a lease of it. */
export interface Answering<Call extends string> {
  answerPoolOf(call: Call, parameters: readonly unknown[], caller?: CallerStub, isAbortable?: boolean): Answer;
}

export type Answer = Promise<Outcome<unknown> & Partial<Disposable>>;

/**
 * Sends the call and returns its outcome. Rejects unchanged with an error of the runtime about the object
 * (`durableObjectReset`, `overloaded`, `retryable`).
 */
export async function sent<Call extends string>(
  target: Answering<Call>,
  call: Call,
  parameters: readonly unknown[],
  caller?: Caller,
  isAbortable?: boolean,
): Answer {
  try {
    return await target.answerPoolOf(call, parameters, caller, isAbortable);
  } catch (error) {
    const { name, message, remote } = error as { name?: unknown; message?: unknown; remote?: unknown };
    if (name !== "DataCloneError" && !/limited to 32 ?MiB/.test(String(message))) throw error;
    throw remote === true ? cannotBeSent(String(message)) : cannotBeValue(String(message));
  }
}

/** Rejects with the signal's reason when it is aborted. What arrives later is disposed of. */
export function untilAborted(answer: Answer, signal: AbortSignal | undefined): Answer {
  if (signal === undefined) return answer;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error);
      answer.then(
        (late) => late[Symbol.dispose]?.(),
        () => {},
      );
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const isOver = (): void => signal.removeEventListener("abort", onAbort);
    answer.then(resolve, reject).then(isOver, isOver);
  });
}

/** What the runtime says of an error about an object. */
interface RuntimeError {
  readonly message?: unknown;
  readonly durableObjectReset?: unknown;
  readonly overloaded?: unknown;
  readonly retryable?: unknown;
}

const goneMessages = /no longer (running|exists)|connection lost|disconnected|stub used after being disposed/i;

/** Whether the error of the runtime means that the object behind a stub is gone, and not that it has too much to do. */
export function isOfLostObject(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { message, durableObjectReset, overloaded, retryable } = error as RuntimeError;
  if (overloaded === true) return false;
  return durableObjectReset === true || retryable === true || goneMessages.test(String(message));
}

/** As earlier versions of the object take them, if there is nothing new in them. */
export function parametersOf(statement: CheckedStatement, settings: Settings): unknown[] {
  const { text, values, name, rowMode, types } = statement;
  return (name ?? rowMode ?? types) === undefined ? [text, values, settings] : [statement, undefined, settings];
}

export function resultOf<Row>(text: string | StatementConfig, outcome: Outcome<unknown>): QueryResult<Row> {
  return readWith(typesOf(text), valueOf<QueryResult>(outcome)) as QueryResult<Row>;
}

export function resultsOf<Row>(statements: readonly Statement[], outcome: Outcome<unknown>): QueryResult<Row>[] {
  const results = valueOf<QueryResult[]>(outcome);
  return results.map((result, index) => readWith(typesOf(statements[index]), result) as QueryResult<Row>);
}

export function typesOf(statement: Statement | undefined): ValueTypes | undefined {
  return typeof statement === "object" ? statement.types : undefined;
}

export function valueOf<T>(outcome: Outcome<unknown>): T {
  if ("failure" in outcome) throw errorOf(outcome.failure);
  return outcome.value as T;
}
