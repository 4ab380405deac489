// Runs before npm packs or publishes, and refuses an empty or a wrong package. It builds nothing, because tests also
// pack, while other tests use pkg/.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fail, root } from "./run.mjs";

const read = (path) => readFileSync(join(root, path), "utf8");
const { version, repository } = JSON.parse(read("package.json"));

if (!existsSync(join(root, "pkg", "THIRD_PARTY_LICENSES")))
  fail("there is no package to pack: run npm run build first");

const lock = JSON.parse(read("package-lock.json"));
const standIn = JSON.parse(read("packages/pg-pool/package.json"));
const versions = {
  "packages/pg-pool/package.json": [standIn.version, standIn.dependencies.edgepool],
  "package-lock.json": [lock.version, lock.packages[""].version],
  "Cargo.toml": [/^version = "(.+)"$/m.exec(read("Cargo.toml"))?.[1]],
  "Cargo.lock": [/^name = "edgepool"\nversion = "(.+)"$/m.exec(read("Cargo.lock"))?.[1]],
};
for (const [file, found] of Object.entries(versions)) {
  for (const other of found)
    if (other !== version)
      fail(`package.json has the version ${version}, ${file} has ${other}: see "A release" in CONTRIBUTING.md`);
}

if (process.env.npm_command === "publish" && repository === undefined) {
  fail('package.json names no repository, which npm\'s provenance requires: see "A release" in CONTRIBUTING.md');
}
