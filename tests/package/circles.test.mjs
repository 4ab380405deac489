// Imports point one way in each room, type imports counted: no circle, and in the shell no import that runs back up.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import test from "node:test";
import { root } from "../../scripts/run.mjs";

/** From the bottom up: a file may import what stands before it, whether or not a type alone. */
const order = `
  protocol stats host summaries
  errors
  dialect record validate lease logger
  clock observer events options
  settings call-options
  engine/context-marker engine/context-link
  engine/context-search
  engine/instance engine/contexts engine/signals engine/caller-stacks
  engine/policy engine/facade engine/slot
  engine/lease engine/step-state engine/dropped-pools
  engine/connections engine/waiters engine/timer engine/refusals
  engine/steps engine/operation engine/operations
  engine/lost-leases engine/leases
  engine/scope engine/scopes
  pool kinds index
`
  .trim()
  .split(/\s+/);

function files(folder, extension) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension) && !entry.name.endsWith(`.d${extension}`))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .map((path) => ({ name: relative(join(root, folder), path).slice(0, -extension.length), path }));
}

/** The imports of the shell, by file: types, re-exports and imports without a name included. */
function shellImports() {
  const found = new Map();
  for (const { name, path } of files("src/shell", ".ts")) {
    const specifiers = [...readFileSync(path, "utf8").matchAll(/\b(?:from|import)\s*\(?"(\.[^"]+)\.js"/g)];
    const targets = specifiers.map(([, specifier]) => join(dirname(name), specifier));
    found.set(
      name,
      targets.filter((target) => !target.startsWith("wasm/")),
    );
  }
  return found;
}

/** The modules that each module of the policy names. What mod.rs re-exports counts as the module that declares it. */
function policyImports() {
  const all = files("src/policy", ".rs");
  const known = new Set(all.map(({ name }) => name));
  const moduleOf = (path) => (known.has(path) ? path : known.has(`${path}/mod`) ? `${path}/mod` : undefined);
  const text = new Map(all.map(({ name, path }) => [name, readFileSync(path, "utf8")]));
  const reexported = new Map();
  for (const [, module, names] of text.get("mod").matchAll(/^pub use (\w+)::(\{[^}]*\}|\w+);/gm))
    for (const name of names.match(/\w+/g)) reexported.set(name, module);
  // An alias of mod.rs stands for what it is made of.
  for (const [, alias, definition] of text.get("mod").matchAll(/^pub type (\w+) = (.*);/gm))
    reexported.set(alias, reexported.get(/<(\w+)>/.exec(definition)?.[1]));
  const found = new Map();
  for (const [name, source] of text) {
    if (name === "mod") continue;
    const folder = name.endsWith("/mod") ? dirname(name) : dirname(name) === "." ? "" : dirname(name);
    const code = source.replace(/#\[cfg\(test\)\][^]*$/, "").replace(/\/\/.*/g, "");
    const targets = new Set();
    const add = (path) => {
      const [first, second] = path.split("::");
      const target =
        moduleOf(second === undefined ? first : `${first}/${second}`) ?? moduleOf(first) ?? reexported.get(first);
      if (target !== undefined && target !== name) targets.add(target);
    };
    const own = folder === "" || name.endsWith("/mod") ? "" : `${folder}::`;
    for (const [, prefix, rest] of code.matchAll(/\b(super|crate::policy)::(\{[^}]*\}|[\w:]+)/g)) {
      const paths = rest.startsWith("{") ? rest.slice(1, -1).split(/,\s*(?![^{]*\})/) : [rest];
      for (const path of paths.map((each) => each.trim()).filter(Boolean)) add(prefix === "super" ? own + path : path);
    }
    found.set(name, [...targets]);
  }
  return found;
}

/** The first circle that is found, as a text; undefined if there is none. */
function circleIn(imports) {
  const state = new Map();
  const walk = (name, way) => {
    if (state.get(name) === "left") return undefined;
    if (way.includes(name)) return [...way.slice(way.indexOf(name)), name].join(" -> ");
    for (const target of imports.get(name) ?? []) {
      const circle = walk(target, [...way, name]);
      if (circle !== undefined) return circle;
    }
    state.set(name, "left");
    return undefined;
  };
  for (const name of imports.keys()) {
    const circle = walk(name, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

test("a circle is found where there is one", () => {
  assert.equal(circleIn(new Map(Object.entries({ a: ["b"], b: ["c"], c: ["b"] }))), "b -> c -> b");
  assert.equal(circleIn(new Map(Object.entries({ a: ["b", "c"], b: ["c"], c: [] }))), undefined);
});

test("the files of the shell import in no circle, type imports counted", () => {
  const imports = shellImports();
  assert.ok([...imports.values()].flat().length > 100, "the imports are found");
  assert.equal(circleIn(imports), undefined);
});

test("no import of the shell runs back up", () => {
  const place = new Map(order.map((name, index) => [name, index]));
  for (const [name, targets] of shellImports()) {
    // Entries, dialects and integrations stand above all of these; layers.test.mjs has their rules.
    if (name === "cloudflare-workers" || /^(entry|dialects|durable-object|inspect)\//.test(name)) continue;
    if (/^(pg|mysql2|resources|tarn|generic-pool|otel|diagnostics)\//.test(name)) continue;
    assert.ok(place.has(name), `${name} has no place in the order of this test`);
    for (const target of targets)
      assert.ok(place.get(target) < place.get(name), `${name} imports ${target}, which stands above it`);
  }
});

test("what users see stands below what runs a scope", () => {
  for (const [name, targets] of shellImports()) {
    if (name.includes("/") || ["pool", "kinds", "index"].includes(name)) continue;
    assert.deepEqual(
      targets.filter((target) => target.startsWith("engine/")),
      [],
      name,
    );
  }
});

test("the files of the policy name each other in no circle", () => {
  const imports = policyImports();
  assert.ok([...imports.values()].flat().length > 30, "the imports are found");
  assert.equal(circleIn(imports), undefined);
});
