// Writes pkg/THIRD_PARTY_LICENSES: the licences of the crates and of Rust's library in the WebAssembly, which must
// accompany it. Reads them from the crates. Called by build.mjs.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ask, fail, root } from "./run.mjs";

export function writeNotices(path) {
  const [ownCopyright, ...terms] = readFileSync(join(root, "LICENSE"), "utf8")
    .replaceAll("\r\n", "\n")
    .split("\n\n")
    .slice(1);
  if (!ownCopyright?.startsWith("Copyright"))
    fail("LICENSE is not the MIT licence any more: scripts/notices.mjs takes its terms from there");
  const mit = (holder) => [`MIT License\n\nCopyright (c) ${holder}`, ...terms].join("\n\n").trim();
  const parts = [
    ["The Rust standard library", "MIT OR Apache-2.0", mit("The Rust Project contributors")],
    ...linkedCrates().map(({ name, version, license, authors, manifest_path }) => {
      const own = licenseIn(dirname(manifest_path), "MIT") ?? mit(authors.join(", ") || `the authors of ${name}`);
      // "(MIT OR Apache-2.0) AND Unicode-3.0": takes one licence of each part, MIT if possible.
      const others = license
        .split(" AND ")
        .filter((part) => !/\bMIT\b/.test(part))
        .map((part) => {
          const other = licenseIn(dirname(manifest_path), part.replace(/-.*/, "").toUpperCase());
          return (
            other ??
            fail(
              `${name} ${version} is also under ${part}, but its text was not found: add its place to scripts/notices.mjs`,
            )
          );
        });
      return [`${name} ${version}`, license, [own, ...others].join("\n\n")];
    }),
  ];
  const text = parts
    .map(([title, license, terms]) => `${title} (${license})\n\n${terms}\n`)
    .join(`\n${"-".repeat(80)}\n\n`);
  writeFileSync(
    path,
    `pkg/wasm has these compiled in. Each is used under the licences that follow its name: MIT wherever that may be chosen.\n\n${"-".repeat(80)}\n\n${text}`,
  );
}

/** Returns the crates that are compiled into the WebAssembly, without those that only run during the build. */
function linkedCrates() {
  const metadata = ask("cargo", [
    "metadata",
    "--format-version",
    "1",
    "--locked",
    "--filter-platform",
    "wasm32-unknown-unknown",
  ]);
  const { packages, resolve } = JSON.parse(
    metadata ??
      fail(
        "cargo metadata failed: run it to see why (it needs every crate of Cargo.lock, also those that are not built)",
      ),
  );
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

/** Returns the text of a licence in a crate's folder; a file without a name of a licence counts as MIT. */
function licenseIn(folder, name) {
  const names = [`LICENSE-${name}`, ...(name === "MIT" ? ["LICENSE"] : [])];
  const file = readdirSync(folder).find((file) => names.includes(file.replace(/\.(md|txt)$/, "")));
  return file === undefined ? undefined : readFileSync(join(folder, file), "utf8").trim();
}
