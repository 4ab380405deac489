// npm run bench:workers: builds, sets up PgBouncer if possible, then runs benches/workers/main.mjs. Its options, after
// a `--`: --quick, --write.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run, say } from "./run.mjs";
import { setUpPgBouncer } from "./debian.mjs";

build();
const pgbouncer = setUpPgBouncer();
say("measuring in workerd on an embedded PostgreSQL (usually three minutes, with --quick one)");
run(process.execPath, [
  join(root, "benches", "workers", "main.mjs"),
  ...(pgbouncer === undefined ? [] : [`--pgbouncer=${pgbouncer}`]),
  ...process.argv.slice(2),
]);
