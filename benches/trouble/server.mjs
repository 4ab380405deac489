// The embedded PostgreSQL, in a process of its own: it stops the server when its parent ends, however it ends.

import { startPostgres } from "../../scripts/postgres.mjs";
import { answerParent } from "./child.mjs";

const postgres = await startPostgres({ maxConnections: 400 });

answerParent(
  {
    options: () => postgres.options,
    halt: () => postgres.halt(),
    resume: () => postgres.resume(),
    stop: () => postgres.stop(),
  },
  () => postgres.stop(),
);
