// npm run bench: builds, then runs benches/main.mjs. Its options, after a `--`: --quick, --only=a,b, --write,
// --beside=FOLDER.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run } from "./run.mjs";

build();
run(process.execPath, ["--expose-gc", join(root, "benches", "main.mjs"), ...process.argv.slice(2)]);
