// @ts-check
// npm run test:field: builds apps with the real frameworks and tools, runs what they built, and asks it for rows. Each
// folder of tests/field with a package.json is a suite, and its test files are the topics.
// npm run test:field -- <suite> [<topic>…] …: runs these suites, or these topics of them.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./run.mjs";
import { setUpRuntimes } from "./setup.mjs";
import { runSuites } from "./suite-runner.mjs";

/** @import { Suite } from "./suite-runner.mjs" */

const field = join(root, "tests", "field");
const ending = ".test.mjs";
const scripts = Object.fromEntries(
  ["build", "setup"].map((name) => [name, fileURLToPath(new URL(`${name}.mjs`, import.meta.url))]),
);

const suites = readdirSync(field)
  .filter((name) => existsSync(join(field, name, "package.json")))
  .map(suiteOf);
await runSuites(suites, () => [
  {
    names: ["package", "tarball"],
    command: process.execPath,
    args: (name) => (name === "package" ? [scripts.build] : [scripts.setup, name]),
  },
  {
    names: ["node22", ...suites.map(({ name }) => `field/${name}`)],
    command: process.execPath,
    args: (name) => [scripts.setup, name],
  },
]);

/** @returns {Suite} */
function suiteOf(name) {
  const folder = join(field, name);
  const topics = readdirSync(folder)
    .filter((file) => file.endsWith(ending))
    .map((file) => basename(file, ending));
  return {
    name,
    what: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).description,
    topics,
    needs: () => ["package", "tarball", "node22", `field/${name}`],
    command: (wanted) => ({
      // The newest tools want a newer Node than the package does.
      command: setUpRuntimes(["node22"]).node22 ?? process.execPath,
      args: [
        "--test",
        "--test-reporter=tap",
        // The topics of a suite share a folder.
        "--test-concurrency=1",
        ...(wanted.length > 0 ? wanted : topics).map((topic) => join(folder, `${topic}${ending}`)),
      ],
    }),
  };
}
