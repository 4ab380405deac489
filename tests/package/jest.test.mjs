// docs/guide.md, "Jest": each row of its table, on a Jest and a project of its own.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../../scripts/run.mjs";
import { setUpJest } from "../../scripts/setup.mjs";
import { installTarball } from "./packed.mjs";

const statically = 'import { AssertionPool } from "edgepool";';
const body = `
  const pool = new AssertionPool(() => ({ rollback() {}, close() {} }));
  await pool.use(() => expect(pool.connect()).rejects.toMatchObject({ code: "ERR_POOL_ASSERTION" }));
  await pool.close();
`;

let project;
let jest;

before(() => {
  project = installTarball();
  const tools = join(setUpJest(), "node_modules");
  for (const name of ["@babel", "babel-jest"])
    symlinkSync(join(tools, name), join(project.folder, "node_modules", name));
  jest = join(tools, "jest", "bin", "jest.js");
});

after(() => project.remove());

/** What Jest says of a folder with these files, its configuration in package.json. */
function runJest(name, files, nodeOptions) {
  const folder = join(project.folder, name);
  mkdirSync(folder);
  symlinkSync(join(project.folder, "node_modules"), join(folder, "node_modules"));
  for (const [file, content] of Object.entries(files))
    writeFileSync(join(folder, file), typeof content === "string" ? content : JSON.stringify(content));
  const { status, stderr } = spawnSync(process.execPath, [...nodeOptions, jest, "--ci", "--watchman=false"], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /Tests: +1 passed, 1 total/);
}

const guide = readFileSync(join(root, "docs", "guide.md"), "utf8");
const flag = /`node (--experimental-vm-modules) node_modules\/jest\/bin\/jest\.js`/.exec(guide)?.[1];
const pattern = /`"transformIgnorePatterns": (\[[^\]]+\])`/.exec(guide)?.[1];

test("in Jest, tests that are ES modules import it under the flag that the guide gives", () => {
  runJest(
    "modules",
    {
      "package.json": { type: "module", jest: { transform: {} } },
      "pool.test.js": `${statically} test("it works", async () => {${body}});`,
    },
    [flag],
  );
});

test("in Jest, tests that Babel compiles to CommonJS import it with the pattern that the guide gives", () => {
  runJest(
    "babel",
    {
      "package.json": { jest: { transformIgnorePatterns: JSON.parse(pattern) } },
      "babel.config.json": { presets: [["@babel/preset-env", { targets: { node: "current" } }]] },
      "pool.test.js": `${statically} test("it works", async () => {${body}});`,
    },
    [],
  );
});

test("in Jest, tests in CommonJS import it dynamically under the flag", () => {
  runJest(
    "commonjs",
    {
      "package.json": {},
      "pool.test.js": `test("it works", async () => { const { AssertionPool } = await import("edgepool"); ${body}});`,
    },
    [flag],
  );
});
