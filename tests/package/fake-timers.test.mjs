// docs/guide.md, "Fake timers": each row of its table, in a process of its own with that test runner or library.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../../scripts/run.mjs";
import { setUpJest, setUpVitest } from "../../scripts/setup.mjs";
import { installTarball } from "./packed.mjs";

let project;

before(() => {
  project = installTarball();
  symlinkSync(join(root, "node_modules", "@sinonjs"), join(project.folder, "node_modules", "@sinonjs"));
  symlinkSync(join(setUpVitest(), "node_modules", "vitest"), join(project.folder, "node_modules", "vitest"));
});

after(() => project.remove());

/**
 * A program of which `install`, `advance` and `uninstall` are the fake timers. The pool was used in real time before,
 * and is used in real time afterwards.
 */
const program = ({ install, advance, uninstall, steps }) => `
  const pool = new QueuePool(() => ({ rollback() {}, close() {} }), { poolSize: 1, maxOverflow: 0, timeout: "5s" });
  const outcomeOf = (promise) => {
    const outcome = { code: "waits" };
    promise.then(() => (outcome.code = "served"), ({ code }) => (outcome.code = code));
    return outcome;
  };
  const lease = await pool.connect();
  await pool.connect({ timeout: "10ms" }).catch(() => {});
  ${install}
  const first = outcomeOf(pool.connect());
  const second = outcomeOf(pool.connect({ timeout: "1m" }));
  ${advance(4_990)}
  check(first.code, "waits");
  ${steps === 1 ? advance(110) : advance(5_100).repeat(steps)}
  check(first.code, "ERR_POOL_TIMEOUT");
  check(second.code, "waits");
  ${advance(61_200).repeat(steps)}
  check(second.code, "ERR_POOL_TIMEOUT");
  ${uninstall}
  const begin = process.hrtime.bigint();
  const last = outcomeOf(pool.connect({ timeout: "50ms" }));
  while (last.code === "waits") await new Promise((resolve) => setImmediate(resolve));
  check(last.code, "ERR_POOL_TIMEOUT");
  check(process.hrtime.bigint() - begin < 2_000_000_000n, true);
  await lease.close();
  await pool.close();
`;

const microtasks = "for (let turn = 0; turn < 50; turn++) await null;";

/** Runs a file of the project, and expects it to pass. */
function run(name, files, args) {
  const folder = join(project.folder, name);
  mkdirSync(folder);
  symlinkSync(join(project.folder, "node_modules"), join(folder, "node_modules"));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content);
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined },
  });
  assert.equal(status, 0, `${stdout}\n${stderr}`);
}

const check =
  'import assert from "node:assert/strict";\nconst check = (value, expected) => assert.equal(value, expected);\n';

/** The program as a test of Jest or Vitest. */
const inTest = (source) =>
  "const check = (value, expected) => expect(value).toBe(expected);\n" +
  `test("it times out", async () => {${source}});`;

/** Runs the program as a module without a test runner. */
function runAlone(name, imports, timers) {
  const source = `import { QueuePool } from "edgepool";\n${imports}\n${check}\n${program(timers)}`;
  run(name, { "pool.mjs": source }, ["pool.mjs"]);
}

test("sinon's fake timers need nothing", () => {
  runAlone("sinon", 'import FakeTimers from "@sinonjs/fake-timers";', {
    install: "const fake = FakeTimers.install();",
    advance: (ms) => `await fake.tickAsync(${ms});`,
    uninstall: "fake.uninstall();",
    steps: 1,
  });
});

test("sinon's fake timers without performance are advanced in four steps", () => {
  runAlone("sinon-timers", 'import FakeTimers from "@sinonjs/fake-timers";', {
    install: 'const fake = FakeTimers.install({ toFake: ["setTimeout", "clearTimeout", "Date"] });',
    advance: (ms) => `await fake.tickAsync(${ms});`,
    uninstall: "fake.uninstall();",
    steps: 4,
  });
});

test("the mock timers of node:test are advanced in four steps", () => {
  runAlone("node-test", 'import { mock } from "node:test";', {
    install: 'mock.timers.enable({ apis: ["setTimeout", "Date"] });',
    advance: (ms) => `mock.timers.tick(${ms}); ${microtasks}`,
    uninstall: "mock.timers.reset();",
    steps: 4,
  });
});

test("Vitest's fake timers need nothing", () => {
  const source = program({
    install: "vi.useFakeTimers();",
    advance: (ms) => `await vi.advanceTimersByTimeAsync(${ms});`,
    uninstall: "vi.useRealTimers();",
    steps: 1,
  });
  run(
    "vitest",
    {
      "package.json": '{ "type": "module" }',
      "pool.test.js":
        'import { QueuePool } from "edgepool";\nimport { expect, test, vi } from "vitest";\n' + inTest(source),
    },
    [join(setUpVitest(), "node_modules", "vitest", "vitest.mjs"), "run", "--root", "."],
  );
});

test("Jest's fake timers need nothing", () => {
  const source = program({
    install: "jest.useFakeTimers();",
    advance: (ms) => `await jest.advanceTimersByTimeAsync(${ms});`,
    uninstall: "jest.useRealTimers();",
    steps: 1,
  });
  run(
    "jest",
    {
      "package.json": '{ "type": "module", "jest": { "transform": {} } }',
      "pool.test.js": 'import { QueuePool } from "edgepool";\nimport { jest } from "@jest/globals";\n' + inTest(source),
    },
    [
      "--experimental-vm-modules",
      join(setUpJest(), "node_modules", "jest", "bin", "jest.js"),
      "--ci",
      "--watchman=false",
    ],
  );
});
