// Holds the house style of CONTRIBUTING.md, as far as a program can read it: words that no text of the project has, the
// length of a sentence, and the length of ARCHITECTURE.md.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import test from "node:test";
import { Lexer } from "marked";
import { root } from "../../scripts/run.mjs";

const mostWords = 20;
const mostArchitectureLines = 150;

/** Each of these has a plain word in its place, and CONTRIBUTING.md says which. */
const banned = [
  /\b(?:the|these|its|'s) books\b/,
  /\blenders?\b/,
  /\bupkeep\b/,
  /\bwho\b/,
  /\bwho(?:m|ever|soever)\b/,
  /\b(?:no|some|any|every)body\b/,
  /\btold\b/,
  /\bhear(?:s|d)?\b/,
  /\bfor ever\b/,
  /\banew\b/,
  /\bmeanwhile\b/,
  /\ball the same\b/,
  /\bonce more\b/,
  /\bwhere (?:no|none|not|nothing|there (?:is|are))\b/,
];

function filesIn(folder, extensions) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .filter((name) => extensions.includes(extname(name)))
    .sort();
}

const markdown = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  "pkg/README.md",
  ...filesIn("docs", [".md"]),
];
const sources = [
  ...filesIn("src", [".rs", ".ts"]),
  ...filesIn("www", [".html", ".js"]),
  ...filesIn("src/picture", [".js"]),
  ...filesIn("examples", [".mjs", ".jsonc"]),
  ...filesIn("benches", [".mjs", ".rs"]),
  ...filesIn("scripts", [".mjs", ".rs"]),
];
const read = (name) => readFileSync(join(root, name), "utf8");

/** Inline code of a document is left out: CONTRIBUTING.md names there the words to avoid. */
const proseOf = (name) => (name.endsWith(".md") ? read(name).replace(/`[^`\n]+`/g, "code") : read(name));

for (const name of [...markdown, ...sources]) {
  test(`${name} has no word that the house style replaces`, () => {
    const found = proseOf(name)
      .split("\n")
      .flatMap((line, index) =>
        banned.map((word) => ({ line: index + 1, text: new RegExp(word, "i").exec(line)?.[0] })),
      )
      .filter(({ text }) => text !== undefined)
      .map(({ line, text }) => `${name}:${line}: ${text}`);
    assert.deepEqual(found, []);
  });
}

/** The texts of a document that are read as sentences: paragraphs, items and cells. Code is left out. */
function textsOf(tokens) {
  return tokens.flatMap((token) => {
    switch (token.type) {
      case "list":
        return token.items.flatMap(({ tokens: inside }) => textsOf(inside));
      case "table":
        return [token.header, ...token.rows].flat().map(({ tokens: inside }) => wordsOf(inside));
      case "blockquote":
        return textsOf(token.tokens);
      case "paragraph":
      case "text":
        return [wordsOf(token.tokens)];
      default:
        return [];
    }
  });
}

/** Inline code counts as one word, whatever it holds; of a link counts what is shown. */
function wordsOf(tokens) {
  return tokens
    .map((token) => {
      if (token.type === "codespan") return "code";
      return token.tokens === undefined ? token.text : wordsOf(token.tokens);
    })
    .join("");
}

/** A sentence ends with its mark, before a space. */
const sentencesOf = (text) => text.split(/(?<=[.!?][")*]*)\s+/);
const wordCount = (sentence) => sentence.split(/[\s·…]+/).filter((word) => /\w/.test(word)).length;

test("a sentence is measured with its code as one word, and ends at its mark", () => {
  const [text] = textsOf(new Lexer().lex("Call `close(1, 2)` or [the other one](a.md). It `ends`."));
  assert.deepEqual(sentencesOf(text).map(wordCount), [6, 2]);
});

for (const name of markdown) {
  test(`${name} has no sentence of more than ${mostWords} words`, () => {
    const long = textsOf(new Lexer().lex(read(name)))
      .flatMap(sentencesOf)
      .filter((sentence) => wordCount(sentence) > mostWords)
      .map((sentence) => `${wordCount(sentence)} words: ${sentence.replaceAll("\n", " ")}`);
    assert.deepEqual(long, []);
  });
}

test(`ARCHITECTURE.md has at most ${mostArchitectureLines} lines`, () => {
  assert.ok(read("ARCHITECTURE.md").trimEnd().split("\n").length <= mostArchitectureLines);
});
