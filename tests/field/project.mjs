// @ts-check
// The project of a field test: an app with the package installed in it, built and served by the programs of its
// packages. The app is copied to target/field/<suite>, where the packages of the suite are.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { freePort } from "../../scripts/postgres.mjs";
import { fieldFolder, tarball } from "../../scripts/setup.mjs";

/** For every program: no colours, no questions, no reports to its makers, and this Node for those that it starts. */
const env = {
  CI: "true",
  NO_COLOR: "1",
  DO_NOT_TRACK: "1",
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  NEXT_TELEMETRY_DISABLED: "1",
  NUXT_TELEMETRY_DISABLED: "1",
  NODE_TEST_CONTEXT: undefined,
  PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
};

const patience = 60_000;

/**
 * Lays the app in the folder `app`, a path, into the folder of the suite, with the package as npm would install it and
 * `files`, by their names. What another test left there is removed.
 *
 * @param {string} suite
 * @param {string} app
 * @param {Record<string, string>} [files]
 */
export function layProject(suite, app, files = {}) {
  const folder = fieldFolder(suite);
  const kept = ["node_modules", "package.json", "package-lock.json"];
  for (const name of readdirSync(folder).filter((name) => !kept.includes(name)))
    rmSync(join(folder, name), { recursive: true });
  cpSync(app, folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  installPackage(folder);
  return new Project(folder);
}

/** Unpacks the tarball where npm would. A whole `npm install` would look at each of the packages again. */
function installPackage(folder) {
  const target = join(folder, "node_modules", "edgepool");
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  execFileSync("tar", ["-xzf", tarball, "-C", target, "--strip-components=1"]);
}

class Project {
  /** @param {string} folder */
  constructor(folder) {
    this.folder = folder;
  }

  /** Returns the path of a program: of the packages, or this Node. */
  #program(name) {
    return name === "node" ? process.execPath : join(this.folder, "node_modules", ".bin", name);
  }

  #env(more) {
    // What wrangler keeps for its user: the tests of other suites run beside this one.
    return { ...process.env, ...env, XDG_CONFIG_HOME: join(this.folder, ".config"), ...more };
  }

  /**
   * Runs a program to its end and returns its output. Throws the output if the program fails.
   *
   * @param {string} name
   * @param {string[]} args
   * @param {Record<string, string>} [more] further variables of the environment
   */
  run(name, args, more = {}) {
    const options = { cwd: this.folder, encoding: /** @type {const} */ ("utf8"), env: this.#env(more) };
    const { status, stdout, stderr, error } = spawnSync(this.#program(name), args, options);
    if (status !== 0) throw new Error(`${name} ${args.join(" ")} failed (${error ?? status}):\n${stdout}${stderr}`);
    return stdout + stderr;
  }

  /**
   * Starts a server, waits until it takes requests, and returns it.
   *
   * @param {string} name
   * @param {(port: string) => string[]} args
   * @param {Record<string, string>} [more] further variables of the environment
   */
  async serve(name, args, more = {}) {
    const port = String(await freePort());
    const child = spawn(this.#program(name), args(port), {
      cwd: this.folder,
      env: this.#env(more),
      stdio: ["ignore", "pipe", "pipe"],
      // The leader of a group: what it starts ends with it.
      detached: true,
    });
    const server = new Server(`http://localhost:${port}`, child);
    await server.ready();
    return server;
  }
}

/** A running server of an app. */
class Server {
  #child;
  #address;
  #ended;
  #lines = "";
  #kill = () => {
    try {
      process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // The group has ended.
    }
  };

  constructor(address, child) {
    this.#address = address;
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("exit", resolve));
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (this.#lines += text));
    process.once("exit", this.#kill);
  }

  get address() {
    return this.#address;
  }

  /** What the server and the app in it wrote. */
  get log() {
    return this.#lines;
  }

  async ready() {
    let hasEnded = false;
    void this.#ended.then(() => (hasEnded = true));
    for (const end = Date.now() + patience; ;) {
      const answers = await fetch(`${this.#address}/ready`, { signal: AbortSignal.timeout(patience) }).then(
        () => true,
        () => false,
      );
      if (answers) return;
      if (hasEnded || Date.now() > end) {
        await this.stop();
        throw new Error(`the server ${hasEnded ? "ended" : "takes no requests"}:\n${this.#lines}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /**
   * Returns the answer to a GET. Throws what the server wrote if the answer is an error.
   *
   * @param {string} path
   */
  async fetch(path) {
    const response = await fetch(`${this.#address}${path}`, { signal: AbortSignal.timeout(patience) });
    if (response.ok) return response;
    throw new Error(`GET ${path} got ${response.status}:\n${await response.text()}\n${this.#lines}`);
  }

  /**
   * Returns the answer to a GET, parsed.
   *
   * @param {string} path
   * @returns {Promise<any>}
   */
  async ask(path) {
    return (await this.fetch(path)).json();
  }

  async stop() {
    this.#kill();
    await this.#ended;
    process.off("exit", this.#kill);
  }
}
