// npm run bench:trouble: builds, then runs benches/trouble/main.mjs. Its options, after a `--`: --quick,
// --only=kill,slow, --pools=edgepool, --rounds=3, --codes, --write.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run } from "./run.mjs";

build();
run(process.execPath, [join(root, "benches", "trouble", "main.mjs"), ...process.argv.slice(2)]);
