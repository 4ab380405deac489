// What the documents say, as data: their code blocks, headings, links and inline code. Decides what counts as an
// example, and of which kind; whether it is right is documentation.test.mjs's to say.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import GithubSlugger from "github-slugger";
import { Lexer, walkTokens } from "marked";
import { root } from "../../scripts/run.mjs";

/** The README, the guides, and what is for maintainers. */
export const guides = readdirSync(join(root, "docs"))
  .filter((name) => name.endsWith(".md"))
  .sort()
  .map((name) => `docs/${name}`);
export const documents = ["README.md", ...guides].map(readDocument);
export const otherDocuments = [
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "DESIGN.md",
  "docs/internals/workers.md",
].map(readDocument);

function readDocument(name) {
  const text = readFileSync(join(root, name), "utf8");
  const tokens = new Lexer().lex(text);
  const slugger = new GithubSlugger();
  const document = { name, text, headings: [], anchors: new Set(), links: [], inlineCode: [], tables: [], blocks: [] };
  walkTokens(tokens, (token) => {
    if (token.type === "link") document.links.push(token.href);
    if (token.type === "codespan") document.inlineCode.push(token.text);
    if (token.type === "table") document.tables.push(token);
    if (token.type === "heading") {
      const title = plain(token.tokens);
      document.headings.push({ depth: token.depth, title });
      document.anchors.add(slugger.slug(title));
    }
  });
  readBlocks(document, tokens);
  return document;
}

function plain(tokens) {
  return tokens.map((token) => (token.tokens === undefined ? token.text : plain(token.tokens))).join("");
}

function readBlocks(document, tokens) {
  let heading = "";
  let searchFrom = 0;
  const places = tokens.filter(({ type }) => type !== "space");
  for (const [place, token] of places.entries()) {
    if (token.type === "heading") heading = plain(token.tokens);
    if (token.type !== "code") continue;
    const start = document.text.indexOf(token.raw.trimEnd(), searchFrom);
    searchFrom = start + 1;
    const next = places[place + 1];
    document.blocks.push({
      document: document.name,
      line: document.text.slice(0, start).split("\n").length,
      heading,
      language: token.lang ?? "",
      text: token.text,
      kind: token.lang === "js" ? kindOf(token.text) : undefined,
      /** What an example prints, where a block of text follows it. */
      prints: next?.type === "code" && next.lang === "text" ? next.text : undefined,
    });
  }
}

/** A block that imports is complete. */
function kindOf(text) {
  if (!/^import /m.test(text)) return "fragment";
  if (/"\/pools"/.test(text)) return "inspected";
  if (/^export default \{/m.test(text)) return "worker";
  if (/^export const handler/m.test(text)) return "handler";
  return text.includes(".listen(") ? "server" : "program";
}

/** The inline code of a table's cells, but for the first column: there it is another library's. */
export function codeInFirstColumns(document) {
  const names = [];
  for (const { rows } of document.tables)
    for (const [first] of rows)
      walkTokens(first.tokens, (token) => token.type === "codespan" && names.push(token.text));
  return names;
}
