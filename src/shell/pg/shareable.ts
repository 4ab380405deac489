/**
 * Decides by its words whether a statement may run beside others on one connection: one statement that commits by
 * itself, and leaves nothing in the session. In doubt it may not.
 */

const blanks = /(?:\s|--[^\n]*(?:\n|$)|\/\*[^*]*\*+(?:[^/*][^*]*\*+)*\/)*/y;
const first = /(?:select|insert|update|delete|merge|values|table|with)\b/iy;
const ofSession = /set_config|advisory_lock|\blo_|\bdblink|\bsetseed|\bpg_sleep|;\s*\S/i;

/** A query that says no more than its text, its values and its form. */
interface Query {
  readonly text?: unknown;
  readonly submit?: unknown;
  readonly signal?: unknown;
  readonly query_timeout?: unknown;
}

export function isShareable(query: unknown): boolean {
  if (typeof query === "string") return isPlain(query);
  if (typeof query !== "object" || query === null) return false;
  const { text, submit, signal, query_timeout: timeout } = query as Query;
  // An abort and a time-out of one query end the connection, and with it the others.
  return typeof text === "string" && !submit && !signal && !timeout && isPlain(text);
}

function isPlain(text: string): boolean {
  blanks.lastIndex = 0;
  blanks.test(text);
  first.lastIndex = blanks.lastIndex;
  return first.test(text) && !ofSession.test(text);
}
