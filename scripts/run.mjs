// @ts-check
// Runs commands and reports long steps. Used by every script here.

import { spawn, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What the scripts install and build for themselves. */
export const toolsFolder = join(root, "target", "tools");

/** Prints a line about a long step. */
export function say(message) {
  process.stdout.write(`edgepool: ${message}\n`);
}

/** Runs a command with the terminal's own output. Ends this process if the command fails. */
export function run(command, args, { env = {}, cwd = root } = {}) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit", env: { ...process.env, ...env } });
  if (error) fail(`${command} could not be started: ${error.message}`);
  if (status !== 0) fail(`${command} ${args.join(" ")} failed (exit code ${status})`);
}

/** Starts a command with the terminal's own output. Resolves with its exit code, or with 1 if it cannot be started. */
export function start(command, args, env = {}) {
  const child = spawn(command, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  return exitCode(child, command);
}

/** Resolves with a process's exit code when its output has ended, or with 1 if it cannot be started. */
export function exitCode(child, command) {
  return new Promise((resolve) => {
    child.once("error", (error) => {
      console.error(`edgepool: ${command} could not be started: ${error.message}`);
      resolve(1);
    });
    child.once("close", (status) => resolve(status ?? 1));
  });
}

/** Returns a command's standard output, or undefined if the command fails or does not exist. */
export function ask(command, args, { env = {}, cwd = root } = {}) {
  const options = {
    cwd,
    env: { ...process.env, ...env },
    encoding: /** @type {const} */ ("utf8"),
    maxBuffer: Infinity,
  };
  const { status, stdout } = spawnSync(command, args, options);
  return status === 0 ? stdout.trim() : undefined;
}

/** Prints a message and ends this process. */
export function fail(message) {
  process.stderr.write(`edgepool: ${message}\n`);
  process.exit(1);
}
