// @ts-check
// Runs the conformance suite in Deno, without any permission, and in Bun. The variables DENO and BUN are their
// programs.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { bundle, report } from "./bundle.mjs";

const entry = `
  import * as topics from "topics";
  import { runAll } from "./suite.mjs";
  const results = await runAll(topics);
  console.log("\\n" + JSON.stringify(results));
`;

let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "edgepool-runtimes-"));
  await bundle({ entry, outdir: folder, conditions: [] });
});

after(() => rmSync(folder, { recursive: true, force: true }));

for (const { name, program = "", args } of [
  { name: "Deno", program: process.env.DENO, args: ["run", "--no-prompt", "--no-remote"] },
  { name: "Bun", program: process.env.BUN, args: [] },
]) {
  test(`the conformance suite in ${name}`, async (t) => {
    const { stdout } = await promisify(execFile)(program, [...args, join(folder, "main.js")], {
      maxBuffer: 2 ** 28,
      env: { ...process.env, NO_COLOR: "1" },
    });
    // The lines before the last are what pools without a logger of their own have logged.
    await report(t, JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? ""));
  });
}
