// @ts-check
// npm test: sets up what is missing, builds, runs every suite, and ends with the count of all tests.
// npm test -- <suite> [<topic>…] …: runs these suites, or these topics of them, with only the set-up that they need.

import { fileURLToPath } from "node:url";
import { setUpRust } from "./setup.mjs";
import { runSuites } from "./suite-runner.mjs";
import { suites } from "./suites.mjs";

const scripts = Object.fromEntries(
  ["build", "setup"].map((name) => [name, fileURLToPath(new URL(`${name}.mjs`, import.meta.url))]),
);

setUpRust();
// Three rows at once: the package, what is compiled for the tests, and what is installed for them.
await runSuites(suites, (chosen) => [
  { names: ["package"], command: process.execPath, args: () => [scripts.build] },
  {
    // A suite that runs alone compiles its tests itself and shows how far it is.
    names: ["wasmPack", ...(chosen.length > 1 ? ["policyTests", "bindingsTests"] : [])],
    // The compiler takes what the others leave: it has the most to do, and they wait for disks and networks.
    command: "nice",
    args: (name) => ["-n", "10", process.execPath, scripts.setup, name],
  },
  {
    names: ["node22", "chromium", "jest", "vitest", "deno", "bun", "node24"],
    command: process.execPath,
    args: (name) => [scripts.setup, name],
  },
]);
