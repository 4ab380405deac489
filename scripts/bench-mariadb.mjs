// npm run bench:mariadb: builds, then runs benches/mariadb/main.mjs. Its options, after a `--`: --rounds=15,
// --queries=5000, --write.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run } from "./run.mjs";

build();
run(process.execPath, [join(root, "benches", "mariadb", "main.mjs"), ...process.argv.slice(2)]);
