// @ts-check
// A PgBouncer before a PostgreSQL, for the tests of one mode: on a free port, with a configuration of its own, as the
// user postgres if root starts it.

import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { freePort } from "../../scripts/postgres.mjs";

/** How long it may take to start. */
const startMs = 10_000;

/**
 * Starts it. `settings` are lines of its configuration, by name.
 *
 * @param {string[]} command
 * @param {{ host: string, port: number, user: string, password: string, database: string }} server
 * @param {Record<string, string | number>} settings
 */
export async function startPgBouncer([loader, ...args], server, settings) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-pgbouncer-"));
  chmodSync(folder, 0o755);
  const port = await freePort();
  const { host, user, password, database } = server;
  const all = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "md5",
    auth_file: join(folder, "users.txt"),
    admin_users: user,
    // A server that is back is asked again at once. By default that takes 15 s.
    server_login_retry: 0.2,
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}\n`);
  const databases = `[databases]\n${database} = host=${host} port=${server.port} user=${user} password=${password}\n`;
  writeFileSync(join(folder, "users.txt"), `"${user}" "${password}"\n`);
  writeFileSync(join(folder, "pgbouncer.ini"), `${databases}[pgbouncer]\n${lines.join("")}`);
  let child;
  let ended;
  let log = "";

  async function start() {
    // It refuses to run as root.
    const owner = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : {};
    child = spawn(loader, [...args, join(folder, "pgbouncer.ini")], { ...owner, stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.setEncoding("utf8").on("data", (text) => (log += text));
    const started = child;
    ended = new Promise((resolve) => started.once("exit", resolve));
    for (const end = Date.now() + startMs; !(await takesConnections(port)); await delay(10))
      if (child.exitCode !== null || Date.now() > end) throw new Error(`PgBouncer has not started:\n${log}`);
  }

  // Also if the tests end the process.
  const kill = () => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", kill);
  await start();
  return {
    options: { ...server, host: "127.0.0.1", port },
    get log() {
      return log;
    },
    start,
    /**
     * Sends it a signal, or none if that is 0, and resolves when it has ended.
     *
     * @param {NodeJS.Signals | 0} signal
     */
    async end(signal = "SIGKILL") {
      child.kill(signal);
      await ended;
    },
    /** Runs a command of its console. */
    async run(text) {
      const client = new Client({ ...server, host: "127.0.0.1", port, database: "pgbouncer" });
      client.on("error", () => {});
      await client.connect();
      try {
        return (await client.query(text)).rows;
      } finally {
        await client.end();
      }
    },
    async stop() {
      kill();
      await ended;
      process.off("exit", kill);
    },
  };
}

const idOf = (flag) => Number(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout);

function takesConnections(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
