// Runs a command, and prints its purpose and its usual time. Used by every script of this folder.

import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Prints a message before a long step. */
export function say(message) {
  process.stdout.write(`edgepool: ${message}\n`);
}

/** Runs a command with the terminal's own output; ends this process if the command fails. */
export function run(command, args, { env = {}, cwd = root } = {}) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit", env: { ...process.env, ...env } });
  if (error) fail(`${command} could not be started: ${error.message}`);
  if (status !== 0) fail(`${command} ${args.join(" ")} failed (exit code ${status})`);
}

/** Returns a command's standard output, or undefined if it fails or does not exist. */
export function ask(command, args) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: Infinity });
  return status === 0 ? stdout.trim() : undefined;
}

export function fail(message) {
  process.stderr.write(`edgepool: ${message}\n`);
  process.exit(1);
}
