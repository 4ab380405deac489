// The folder app, laid beside its packages, with the client that Prisma makes of its schema.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { layProject } from "../project.mjs";

/** Lays the app. */
export function layApp() {
  const project = layProject("orms", join(import.meta.dirname, "app"));
  // For a command that needs no engine prisma would load one down. It takes this program instead, and never runs it.
  project.run("prisma", ["generate", "--schema", "schema.prisma"], {
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    PRISMA_HIDE_UPDATE_MESSAGE: "1",
    CHECKPOINT_DISABLE: "1",
  });
  return {
    project,
    /** Imports a module of the app. */
    load: (name) => import(pathToFileURL(join(project.folder, name)).href),
  };
}
