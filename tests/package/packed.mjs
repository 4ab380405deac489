// @ts-check
// The tarball as npm would publish it, installed in a project of its own. Used by the package tests.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../scripts/run.mjs";

/**
 * Packs, installs, and answers the project's folder, the tarball's name in it, the names in the tarball, and how to
 * remove it all.
 */
export function installTarball() {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-package-"));
  const npm = (args, cwd) => execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const [{ filename, files }] = JSON.parse(npm(["pack", "--json", "--pack-destination", folder], root));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  npm(["install", "--no-audit", "--no-fund", "--offline", join(folder, filename)], folder);
  return {
    folder,
    tarball: filename,
    names: files.map(({ path }) => path).sort(),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
