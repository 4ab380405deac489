// A MariaDB of its own for each suite that calls startMariadb(): Debian's mariadb-server on a free port of 127.0.0.1,
// with a data directory of its own, as the user mysql. It is installed if this is a Debian that may; if it cannot be,
// startMariadb() says so in one line and returns undefined.

import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setUpMariadb } from "../../scripts/debian.mjs";

const user = "edgepool";
const password = "pool";
const database = "shop";

/** How long the server may take to start. */
const startMs = 60_000;

/** For a day: its own authority, which a client of TLS must know. */
const certificate = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"];

/** What a server has when it starts. */
const init = `
CREATE DATABASE ${database};
CREATE USER ${user}@'%' IDENTIFIED BY '${password}';
GRANT ALL ON *.* TO ${user}@'%' WITH GRANT OPTION;
`;

/**
 * Starts a server. `given`: more of its arguments, such as `--max-connections=5`. With `tls` it also takes connections
 * over TLS, for which `ca` is the certificate to trust; openssl makes it. Returns the options of mysql2's connections,
 * and what stops and restarts it; undefined if there is no MariaDB here.
 *
 * @param {string[]} given
 * @param {{ tls?: boolean }} [options]
 */
export async function startMariadb(given = [], { tls = false } = {}) {
  const path = setUpMariadb();
  if (path === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "edgepool-mariadb-"));
  const owner = ownerOf(folder);
  const data = join(folder, "data");
  const initFile = join(folder, "init.sql");
  writeFileSync(initFile, init, { mode: 0o644 });
  const installed = spawnSync(
    "mariadb-install-db",
    ["--no-defaults", `--datadir=${data}`, "--auth-root-authentication-method=normal", "--skip-test-db"],
    { ...owner, encoding: "utf8" },
  );
  if (installed.status !== 0) throw new Error(`mariadb-install-db failed: ${installed.stderr ?? installed.error}`);
  const port = await freePort();
  const server = { process: undefined, log: "" };
  const [key, ca] = ["key.pem", "ca.pem"].map((name) => join(folder, name));
  if (tls) {
    const { status, stderr, error } = spawnSync("openssl", [...certificate, "-keyout", key, "-out", ca], {
      ...owner,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`openssl failed: ${stderr ?? error}`);
  }

  const kill = () => server.process?.kill("SIGKILL");

  /** @param {string[]} more */
  async function start(...more) {
    const child = spawn(
      path,
      [
        "--no-defaults",
        `--datadir=${data}`,
        `--socket=${join(folder, "socket")}`,
        `--pid-file=${join(folder, "pid")}`,
        `--port=${port}`,
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        // Every start is as fast as it can be: nothing here outlives the suite.
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=16M",
        ...(tls ? [`--ssl-key=${key}`, `--ssl-cert=${ca}`, `--ssl-ca=${ca}`] : []),
        ...more,
        ...given,
      ],
      { ...owner, stdio: ["ignore", "ignore", "pipe"] },
    );
    server.process = child;
    process.once("exit", kill);
    child.once("exit", () => process.off("exit", kill));
    child.stderr.setEncoding("utf8").on("data", (text) => (server.log += text));
    await isListening(port, child, () => server.log);
  }

  async function stop(signal = "SIGTERM") {
    const { process: child } = server;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  await start(`--init-file=${initFile}`);
  return {
    options: { host: "127.0.0.1", port, user, password, database },
    /** The connection string of the same. */
    url: `mysql://${user}:${password}@127.0.0.1:${port}/${database}`,
    /** The certificate to trust, with `tls`. */
    ca: tls ? readFileSync(ca, "utf8") : undefined,
    /** What the server has written. */
    get log() {
      return server.log;
    },
    /** Stops the server, politely or by a signal, under its clients. */
    halt: stop,
    /** Starts it again, on the same port and data. */
    resume: () => start(),
    /** Stops the server, politely or by a signal, and starts it on the same port and data. */
    async restart(signal) {
      await stop(signal);
      await start();
    },
    async stop() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** root may not run the server: the folder and the processes are those of the user mysql. */
function ownerOf(folder) {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag) => Number(spawnSync("id", [flag, "mysql"], { encoding: "utf8" }).stdout);
  const owner = { uid: idOf("-u"), gid: idOf("-g") };
  chownSync(folder, owner.uid, owner.gid);
  chmodSync(folder, 0o755);
  return owner;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** Waits until the server welcomes a connection. */
async function isListening(port, child, log) {
  const ends = Date.now() + startMs;
  while (!(await greets(port))) {
    if (child.exitCode !== null || Date.now() > ends) throw new Error(`MariaDB has not started:\n${log()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function greets(port) {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .once("data", () => end(true))
      .once("error", () => end(false))
      .once("close", () => end(false));
  });
}
