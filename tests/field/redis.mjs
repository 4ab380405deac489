// A Redis of its own for each suite that calls startRedis(): Debian's redis-server on a free port of 127.0.0.1, without
// persistence. It is installed if this is a Debian that may; if it cannot be, startRedis() says so in one line and
// returns undefined.

import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../../scripts/postgres.mjs";
import { setUpRedis } from "../../scripts/debian.mjs";

/** How long the server may take to start. */
const startMs = 20_000;

export async function startRedis() {
  const path = setUpRedis();
  if (path === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "edgepool-redis-"));
  const port = await freePort();
  let child;

  async function start() {
    const settings = { port, bind: "127.0.0.1", save: "", dir: folder, daemonize: "no" };
    child = spawn(
      path,
      Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
      {
        stdio: "ignore",
      },
    );
    const ends = Date.now() + startMs;
    while (!(await answers(port))) {
      if (child.exitCode !== null || Date.now() > ends) throw new Error("Redis has not started");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function stop(signal = "SIGTERM") {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGCONT");
    child.kill(signal);
    await ended;
  }

  /** Runs a command by redis-cli, and returns what Redis answers. */
  async function ask(...args) {
    const { stdout } = await promisify(execFile)("redis-cli", ["-p", String(port), ...args.map(String)]);
    return stdout.trim();
  }

  await start();
  return {
    port,
    ask,
    /** Returns the ids of the clients, but for that of this question. */
    async clients() {
      const lines = (await ask("CLIENT", "LIST")).split("\n");
      return lines.filter((line) => !/ cmd=client\|list /.test(line)).map((line) => /^id=(\d+)/.exec(line)?.[1]);
    },
    /** Returns how often each command was called since the last `forgetCalls`, but for those of this question. */
    async calls() {
      const found = [...(await ask("INFO", "commandstats")).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)];
      const entries = found.map(([, name, count]) => [name, Number(count)]);
      return Object.fromEntries(entries.filter(([name]) => !/^(config|info|client\|list)/.test(name)));
    },
    forgetCalls: () => ask("CONFIG", "RESETSTAT"),
    /** It answers nothing from now on, until `go`. */
    halt: () => child.kill("SIGSTOP"),
    go: () => child.kill("SIGCONT"),
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

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write("PING\r\n"));
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("data", () => end(true)).once("error", () => end(false));
  });
}
