// npm run bench:postgres: builds, then runs benches/postgres/main.mjs. Its options, after a `--`: --rounds=25,
// --queries=10000, --write.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run } from "./run.mjs";

build();
run(process.execPath, [join(root, "benches", "postgres", "main.mjs"), ...process.argv.slice(2)]);
