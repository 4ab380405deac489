/**
 * Under which name a statement is prepared on a connection. The callers of an object share its connections, and each of
 * them names its statements by itself: one name may stand for several texts. What has the name on the server may also
 * be gone, or be something else: DISCARD ALL, PREPARE and ALTER TABLE of any caller do that. Knows which names pg's
 * Connection has used. Called by pg-flight.ts and session.ts.
 */

import { hash } from "./hash.js";

/** The names that pg's Connection has prepared, and those that it has sent, with their texts. */
export interface PreparedNames {
  readonly parsedStatements: Record<string, string>;
  readonly submittedNamedStatements: Record<string, string>;
}

/** The server ignores what is behind the 63rd byte. */
const fitting = /^[\x20-\x7e]{1,63}$/;

/** How often a statement needed another name, by its connection. */
const renewals = new WeakMap<object, Map<string, number>>();

/** Returns the server's name for the statement: the caller's, unless something else has it. */
export function preparedName(names: PreparedNames | undefined, name: string, text: string): string {
  const { parsedStatements, submittedNamedStatements } = names ?? {};
  const renewal = names === undefined ? undefined : renewals.get(names)?.get(keyOf(name, text));
  const known = parsedStatements?.[name] ?? submittedNamedStatements?.[name];
  if (renewal === undefined && fitting.test(name) && (known === undefined || known === text)) return name;
  const start = name.slice(0, 30).replace(/[^\x20-\x7e]/g, "_");
  return `${start}-${hash(keyOf(name, text)).toString(36)}${renewal === undefined ? "" : `-${renewal}`}`;
}

/**
 * Whether the server refused the statement because of what it knows under its name. Then nothing of it has run, and it
 * may be sent again: it will be prepared again.
 */
export function mayPrepareAgain(names: PreparedNames | undefined, name: string, text: string, error: unknown): boolean {
  if (names === undefined || typeof error !== "object" || error === null) return false;
  const { code, routine, message } = error as { code?: unknown; routine?: unknown; message?: unknown };
  const isNamed = String(message).includes(preparedName(names, name, text));
  if (code === "26000" && isNamed) {
    // The others may be gone with it.
    for (const known of Object.keys(names.parsedStatements)) delete names.parsedStatements[known];
    return true;
  }
  const isTaken = code === "42P05" && isNamed;
  const hasOtherColumns = code === "0A000" && routine === "RevalidateCachedQuery";
  if (isTaken || hasOtherColumns) renew(names, keyOf(name, text));
  return isTaken || hasOtherColumns;
}

function renew(names: PreparedNames, key: string): void {
  const ofConnection = renewals.get(names) ?? new Map<string, number>();
  renewals.set(names, ofConnection);
  ofConnection.set(key, (ofConnection.get(key) ?? 0) + 1);
}

function keyOf(name: string, text: string): string {
  return `${name}\n${text}`;
}
