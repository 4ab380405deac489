// npm run soak: builds, then runs tests/soak/main.mjs. Its options, after a `--`: --quick, --server=postgres, --seed=1,
// --write.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run } from "./run.mjs";

build();
run(process.execPath, [join(root, "tests", "soak", "main.mjs"), ...process.argv.slice(2)]);
