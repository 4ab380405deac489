/**
 * Tells by the words of a statement, without parsing it, whether it begins or ends a transaction. In doubt a
 * transaction counts as begun: a refused batch does no harm, but a batch that commits its caller's transaction does.
 * Called by session.ts.
 */

const leadingBlanks = /^(?:\s|--[^\n]*|\/\*[\s\S]*?\*\/)+/;
const begin = /^(?:begin|start\s+transaction|set\b.*\bautocommit)\b/i;
const end = /^(?:commit|end|abort|rollback|prepare\s+transaction)\b/i;
const toSavepoint = /^rollback(?:\s+(?:work|transaction))?\s+to\b/i;
const andChain = /\band\s+chain\b/i;

/** Whether the text starts with a statement that begins or ends a transaction. */
export function beginsOrEnds(text: string): boolean {
  const statement = bare(text);
  return begin.test(statement) || ends(statement);
}

/** Whether a transaction may be open after the text ran, when one was or was not before. */
export function mayBeOpenAfter(text: string, before: boolean): boolean {
  const statements = text
    .split(";")
    .map(bare)
    .filter((statement) => statement !== "");
  const [first = ""] = statements;
  if (statements.length === 1 && ends(first)) return andChain.test(first);
  return before || statements.some((statement) => begin.test(statement));
}

function ends(statement: string): boolean {
  return end.test(statement) && !toSavepoint.test(statement);
}

function bare(text: string): string {
  return text.replace(leadingBlanks, "").trimEnd();
}
