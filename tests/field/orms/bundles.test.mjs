// What esbuild makes of a library with edgepool/pg and pg, minified and not.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { build } from "esbuild";
import { layApp } from "./app.mjs";
import { consumers } from "./consumers.mjs";
import { testConsumer } from "./promises.mjs";

/** Libraries that look at the class of the pool, or at its members. */
const bundled = ["kysely", "drizzle", "prisma-adapter"];

const { project, load } = layApp();

async function bundle(name, minify) {
  const outfile = `${name}-${minify ? "minified" : "plain"}.mjs`;
  await build({
    stdin: {
      contents: `
        export { open } from "./${name}.mjs";
        export { Pool } from "edgepool/pg";
        export { default as pg } from "pg";
      `,
      resolveDir: project.folder,
    },
    bundle: true,
    minify,
    format: "esm",
    platform: "node",
    external: ["pg-native"],
    // pg is CommonJS, and requires modules of Node.
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    outfile: join(project.folder, outfile),
    logLevel: "error",
  });
  return load(outfile);
}

for (const minify of [true, false]) {
  const modules = await Promise.all(bundled.map((name) => bundle(name, minify)));
  for (const [at, { open, Pool, pg }] of modules.entries()) {
    const consumer = consumers.find(({ name }) => name === bundled[at]);
    const title = `${consumer.title} in a ${minify ? "minified" : "plain"} bundle`;
    test(`the pool of ${title} is a pg.Pool, and its class has "Pool" in its name`, () => {
      const pool = new Pool();
      assert.ok(pool instanceof pg.Pool);
      assert.ok(Object.getPrototypeOf(pool).constructor.name.includes("Pool"));
    });
    testConsumer({ ...consumer, name: title, title }, (options) => open(Pool, options));
  }
}
