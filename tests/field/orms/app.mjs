// The folder app, laid beside its packages, with the client that Prisma makes of its schema.

import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { layProject } from "../project.mjs";

/**
 * Lays the app. With `standIn` pg finds edgepool's pool in place of its own, as with an override of npm.
 *
 * @param {{ standIn?: boolean }} [options]
 */
export function layApp({ standIn = false } = {}) {
  const project = layProject("orms", join(import.meta.dirname, "app"));
  // Only pg looks here. The folder is that of the other tests, too.
  const place = join(project.folder, "node_modules", "pg", "node_modules", "pg-pool");
  rmSync(place, { recursive: true, force: true });
  if (standIn) cpSync(join(import.meta.dirname, "stand-in"), place, { recursive: true });
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
