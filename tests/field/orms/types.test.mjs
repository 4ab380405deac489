// The lines of docs/orms.md compile under strict, with the types that each library publishes.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../../../scripts/run.mjs";
import { rowsOf } from "../guide.mjs";
import { layApp } from "./app.mjs";

const folder = join(import.meta.dirname, "types");
const files = readdirSync(folder);

test("each line of docs/orms.md compiles under strict with the types of its library", () => {
  const { project } = layApp();
  cpSync(folder, project.folder, { recursive: true });
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    module: "nodenext",
    target: "es2024",
    lib: ["es2024", "esnext.disposable", "dom"],
    types: ["node"],
    allowImportingTsExtensions: true,
    // The libraries' own declarations have errors of their own.
    skipLibCheck: true,
  };
  writeFileSync(join(project.folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", project.folder], { encoding: "utf8" });
  assert.equal(status, 0, stdout);
  const text = files.map((file) => readFileSync(join(folder, file), "utf8").replaceAll(/<\w+>/g, "")).join("");
  const missing = rowsOf("orms.md").filter(([library, , line]) => {
    const [, code] = /`([^`]+)`/.exec(line);
    // The types of Sequelize know no pool.
    return library !== "Sequelize" && !text.includes(code);
  });
  assert.deepEqual(missing, []);
});
