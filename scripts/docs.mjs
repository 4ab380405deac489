// @ts-check
// npm run docs: writes the reference into target/docs/index.md, from the TSDoc of the built declarations, and into
// target/doc, from rustdoc. A warning of either is an error.
//
// Uses API Extractor, because TypeDoc does not support TypeScript 7. API Extractor reads declarations with its own
// TypeScript.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { build } from "./build.mjs";
import { fail, root, run, say } from "./run.mjs";
import { setUpDocumenter } from "./setup.mjs";

const folder = join(root, "target", "docs");
const entry = join(folder, "edgepool.d.ts");

build();
const tools = setUpDocumenter();

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
writeEntry();
extract(createRequire(join(tools, "package.json"))("@microsoft/api-extractor"));
run(process.execPath, [
  join(tools, "node_modules", "@microsoft", "api-documenter", "bin", "api-documenter"),
  "markdown",
  "--input-folder",
  folder,
  "--output-folder",
  folder,
]);
say("wrote target/docs/index.md");

run("cargo", ["doc", "--quiet", "--locked", "--no-deps"], { env: { RUSTDOCFLAGS: "-D warnings" } });
// For contributors: the bindings and the private items, to which public items may link there.
run(
  "cargo",
  [
    "doc",
    "--quiet",
    "--locked",
    "--no-deps",
    "--lib",
    "--document-private-items",
    "--target",
    "wasm32-unknown-unknown",
  ],
  {
    env: { RUSTDOCFLAGS: "-D warnings -A rustdoc::private-intra-doc-links" },
  },
);
say(
  "wrote target/doc/edgepool/index.html, and with the bindings target/wasm32-unknown-unknown/doc/edgepool/index.html",
);

/** Returns one module with all exports of the package's subpaths. */
function writeEntry() {
  const ofSqlite = ["better-sqlite3", "node-sqlite", "libsql", "sqlite-wasm"];
  const ofServers = ["pg", "mysql2", "mariadb", "pglite", "ioredis", "redis", "tedious"];
  const dialects = [...ofServers, ...ofSqlite].map((name) => `dialects/${name}`);
  const entries = ["durable-object/index", "inspect/index", "pg/index", "otel/index", "diagnostics/index"];
  const modules = ["index", ...entries, ...dialects].map((path) => `export * from "../../pkg/${path}.js";\n`);
  const rest =
    'export { initialize } from "../../pkg/entry/slim.js";\n' +
    'export type { DialectMembers } from "../../pkg/dialect.js";\n' +
    'export type { TimeoutDetails, TimeoutStep } from "../../pkg/errors.js";\n';
  writeFileSync(
    entry,
    `/**\n * A connection pool for JavaScript isolates.\n *\n * @packageDocumentation\n */\n${modules.join("")}${rest}`,
  );
}

function extract({ Extractor, ExtractorConfig }) {
  const compilerOptions = {
    target: "es2022",
    module: "nodenext",
    moduleResolution: "nodenext",
    lib: ["es2022", "esnext.disposable", "dom"],
    types: [],
    strict: true,
    skipLibCheck: true,
  };
  const warnings = { default: { logLevel: "warning" } };
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: entry,
      compiler: {
        overrideTsconfig: { compilerOptions, files: [entry, join(root, "src", "shell", "cloudflare-workers.d.ts")] },
      },
      apiReport: { enabled: false },
      docModel: { enabled: true, apiJsonFilePath: join(folder, "edgepool.api.json") },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: warnings,
        // The version, not a tag, identifies a release.
        extractorMessageReporting: { ...warnings, "ae-missing-release-tag": { logLevel: "none" } },
        tsdocMessageReporting: warnings,
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, "package.json"),
  });
  const found = [];
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback(message) {
      message.handled = true;
      if (message.logLevel === "warning" || message.logLevel === "error")
        found.push(
          `${message.sourceFilePath ?? ""}:${message.sourceFileLine ?? ""} ${message.messageId}: ${message.text}`,
        );
    },
  });
  if (found.length > 0) fail(`the reference has warnings:\n${found.join("\n")}`);
}
