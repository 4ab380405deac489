// @ts-check
// npm start: sets up whatever is missing, builds, and runs the quickstart on an embedded PostgreSQL.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run, say } from "./run.mjs";

build();
say("running examples/quickstart on an embedded PostgreSQL (usually under ten seconds)");
run(process.execPath, [join(root, "examples", "quickstart", "main.mjs")]);
