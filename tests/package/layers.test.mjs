// The doors between the rooms open one way: read off the imports.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import test from "node:test";
import { root } from "../../scripts/run.mjs";

function files(folder, extension) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .map((path) => ({ name: relative(root, path), text: readFileSync(path, "utf8") }));
}

const imports = (text) => [...text.matchAll(/from "([^"]+)"/g)].map(([, specifier]) => specifier);

/** The files that have the shape of another pool. */
const facade = /^src\/shell\/(pg|mysql2|resources|tarn|generic-pool)\//;

/** What the core does not import. */
const upwards = /durable-object|\/(pg|mysql2|resources|tarn|generic-pool|otel|diagnostics|inspect)\/|^(pg|mysql2)$/;

test("the shell imports only itself, and the WebAssembly only where it may", () => {
  const mayReach = /^src\/shell\/(engine\/(policy|instance)|entry\/(inline|workerd|module|slim))\.ts$/;
  for (const { name, text } of files("src/shell", ".ts")) {
    for (const specifier of imports(text)) {
      // Every Worker has this module; nobody else loads these files.
      if (specifier === "cloudflare:workers" && /^src\/shell\/(entry\/workerd|durable-object\/.*)\.ts$/.test(name))
        continue;
      // A program that takes this entry has its driver. What these take the place of has Node's events.
      if (name === "src/shell/durable-object/pg.ts" && ["pg", "node:events"].includes(specifier)) continue;
      const driver = specifier.split("/")[0];
      const inItsFolder = [`src/shell/${driver}/index.ts`, `src/shell/${driver}/types.ts`].includes(name);
      if (inItsFolder && ["pg", "mysql2", "mysql2/promise"].includes(specifier)) continue;
      if (facade.test(name) && ["edgepool", "node:events"].includes(specifier)) continue;
      assert.ok(specifier.startsWith("."), `${name} imports ${specifier}: the package has no dependencies`);
      if (specifier.includes("/wasm/")) assert.match(name, mayReach, `${name} reaches for the WebAssembly`);
    }
  }
});

test("an integration imports the core; the core imports no integration", () => {
  for (const { name, text } of files("src/shell", ".ts")) {
    if (facade.test(name) || /^src\/shell\/(durable-object|otel|diagnostics|inspect)\//.test(name)) continue;
    assert.deepEqual(
      imports(text).filter((specifier) => upwards.test(specifier)),
      [],
      name,
    );
  }
});

test("one file calls the WebAssembly", () => {
  const callers = files("src/shell", ".ts")
    .filter(({ text }) => /\bwasm\.[a-z_]+\(/.test(text))
    .map(({ name }) => name);
  assert.deepEqual(callers, ["src/shell/engine/policy.ts"]);
});

test("one file knows how numbers are encoded: no other masks or shifts one", () => {
  for (const { name, text } of files("src/shell", ".ts")) {
    // An integration sees no number of the WebAssembly, and the bytes of that are another encoding.
    if (facade.test(name) || /^src\/shell\/(protocol|entry\/text|durable-object\/.*)\.ts$/.test(name)) continue;
    const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, "").replace(/`[^`]*`|"[^"\n]*"/g, '""');
    const found = /~[a-z(]| (>>>?|<<) |[a-z\d_)\]] & [a-z\d_(]|indexMask|handleMask/.exec(code);
    assert.equal(found?.[0], undefined, name);
  }
});

test("a dialect knows the shape of a dialect and of drivers, and nothing else of the pool", () => {
  // The dialects of one server share what is known of its sessions.
  const known = ["../dialect.js", "./drivers.js", "./redis-session.js", "./mysql-server.js"];
  for (const { name, text } of files("src/shell/dialects", ".ts"))
    assert.deepEqual(
      imports(text).filter((from) => !known.includes(from)),
      [],
      name,
    );
});

test("the host keeps nothing in a static: two pools share nothing", () => {
  for (const { name, text } of files("src/host", ".rs")) {
    // wasm-bindgen names a value of JavaScript by a static of its own.
    const code = text.replace(/\/\/.*/g, "").replace(/#\[wasm_bindgen\(thread_local_v2[^;]*;/g, "");
    assert.doesNotMatch(code, /\bstatic\s+(mut\s+)?[A-Z_]+\s*:|thread_local!|\b(OnceLock|LazyLock|LazyCell)\b/, name);
  }
});

test("the policy names no host", () => {
  for (const { name, text } of files("src/policy", ".rs"))
    assert.doesNotMatch(text, /wasm_bindgen|js_sys|std::time|std::thread/, name);
});
