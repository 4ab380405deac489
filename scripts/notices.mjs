// pkg/THIRD_PARTY_LICENSES: the licences of the crates and of Rust's library that are compiled into the WebAssembly, which ask
// to go with it. Read off the crates themselves. Called by build.mjs.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ask, fail, root } from "./run.mjs";

/** What every licence here may be taken under. */
const permissive = /\bMIT\b/;

export function writeNotices(path) {
  const [ownCopyright, ...terms] = readFileSync(join(root, "LICENSE"), "utf8").split("\n\n").slice(1);
  if (!ownCopyright.startsWith("Copyright")) fail("LICENSE is not the MIT licence any more: scripts/notices.mjs takes its terms from there");
  const mit = (holder) => [`MIT License\n\nCopyright (c) ${holder}`, ...terms].join("\n\n").trim();
  const parts = [
    ["The Rust standard library", "MIT OR Apache-2.0", mit("The Rust Project contributors")],
    ...linkedCrates().map(({ name, version, license, authors, manifest_path }) => {
      if (!permissive.test(license)) fail(`${name} ${version} is not under the MIT licence but ${license}: say in scripts/notices.mjs what that asks for`);
      return [`${name} ${version}`, license, licenseIn(dirname(manifest_path)) ?? mit(authors.join(", ") || `the authors of ${name}`)];
    }),
  ];
  const text = parts.map(([title, license, terms]) => `${title} (${license})\n\n${terms}\n`).join(`\n${"-".repeat(80)}\n\n`);
  writeFileSync(path, `pkg/wasm has these compiled in. Each is used under the MIT licence.\n\n${"-".repeat(80)}\n\n${text}`);
}

/** The crates that end in the WebAssembly: not those that only run while it is built. */
function linkedCrates() {
  const { packages, resolve } = JSON.parse(ask("cargo", ["metadata", "--format-version", "1", "--locked", "--filter-platform", "wasm32-unknown-unknown"]));
  const packageOf = new Map(packages.map((crate) => [crate.id, crate]));
  const nodeOf = new Map(resolve.nodes.map((node) => [node.id, node]));
  const isMacro = (id) => packageOf.get(id).targets.some(({ kind }) => kind.includes("proc-macro"));
  const seen = new Set();
  const visit = (id) => {
    if (seen.has(id) || isMacro(id)) return;
    seen.add(id);
    for (const { pkg, dep_kinds } of nodeOf.get(id).deps) if (dep_kinds.some(({ kind }) => kind === null)) visit(pkg);
  };
  const own = packages.find(({ name }) => name === "edgepool").id;
  visit(own);
  seen.delete(own);
  return [...seen].map((id) => packageOf.get(id)).sort((one, other) => one.name.localeCompare(other.name));
}

function licenseIn(folder) {
  const file = ["LICENSE-MIT", "LICENSE-MIT.md", "LICENSE-MIT.txt", "LICENSE", "LICENSE.md", "LICENSE.txt"].find((name) => readdirSync(folder).includes(name));
  return file === undefined ? undefined : readFileSync(join(folder, file), "utf8").trim();
}
