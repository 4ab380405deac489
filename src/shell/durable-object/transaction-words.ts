/**
 * Tells by the words of a statement, without parsing it, whether it begins or ends a transaction. In doubt a
 * transaction counts as begun: a refused batch does no harm, but a batch that commits its caller's transaction does.
 * Called by session.ts.
 */

const blanks = /(?:[\s;]|--[^\n]*)*/y;
const commentMarks = /\/\*|\*\//g;
const begin = /(?:begin|start\s+transaction|set\b[^;]*\bautocommit)\b/iy;
const end = /(?:commit|end|abort|rollback|prepare\s+transaction)\b/iy;
const toSavepoint = /rollback(?:\s+(?:work|transaction))?\s+to\b/iy;
const andChain = /\band\s+chain\b/i;

const data = /^[\s(]*(?:select|insert|update|delete|merge|values|table|with)\b/i;

/** Finds a text with several statements, and some with a single one. */
export const several = /;\s*\S/;

/** Whether the text is one statement that reads or changes rows: a transaction around it changes nothing. */
export function readsOrChangesRows(text: string): boolean {
  return data.test(text) && !several.test(text);
}

/** Whether the text starts with a statement that begins or ends a transaction. */
export function beginsOrEnds(text: string): boolean {
  const place = behindBlanks(text, 0);
  return isAt(begin, text, place) || ends(text, place);
}

/** Whether a transaction may be open after the text ran, when one was or was not before. */
export function mayBeOpenAfter(text: string, before: boolean): boolean {
  const first = behindBlanks(text, 0);
  if (ends(text, first) && behindBlanks(text, endOf(text, first)) === text.length) return andChain.test(text);
  if (before) return true;
  for (let place = first; place < text.length; place = behindBlanks(text, endOf(text, place)))
    if (isAt(begin, text, place)) return true;
  return false;
}

function ends(text: string, place: number): boolean {
  return isAt(end, text, place) && !isAt(toSavepoint, text, place);
}

function isAt(words: RegExp, text: string, place: number): boolean {
  words.lastIndex = place;
  return words.test(text);
}

/** Returns the place of the statement's semicolon, or the end of the text. */
function endOf(text: string, place: number): number {
  const semicolon = text.indexOf(";", place);
  return semicolon < 0 ? text.length : semicolon;
}

/** Returns the place behind blanks, semicolons and comments. A comment may hold others, as in PostgreSQL. */
function behindBlanks(text: string, from: number): number {
  for (let place = from; ;) {
    blanks.lastIndex = place;
    blanks.test(text);
    place = blanks.lastIndex;
    if (!text.startsWith("/*", place)) return place;
    commentMarks.lastIndex = place;
    let depth = 0;
    do {
      const mark = commentMarks.exec(text);
      if (mark === null) return text.length;
      depth += mark[0] === "/*" ? 1 : -1;
    } while (depth > 0);
    place = commentMarks.lastIndex;
  }
}
