/**
 * A number that each I/O context of Workers keeps for itself. Under nodejs_compat each context has a /tmp of its own,
 * which ends with it (https://developers.cloudflare.com/workers/runtime-apis/nodejs/fs/). A link there says which
 * context runs, whatever has called the code. Before the compatibility date 2025-09-15 the directory needs the flag
 * enable_nodejs_fs_module. Used by contexts.ts.
 */

import { contextFiles } from "../host.js";

const absent = { throwIfNoEntry: false } as const;

let files = contextFiles;
/** Made at the first use: several copies of the package may run in one isolate. A text would be parsed each time. */
let place: URL | undefined;

function linkPlace(): URL {
  return (place ??= new URL(`file:///tmp/.edgepool-${Math.random().toString(36).slice(2, 10)}`));
}

/** Whether the host has such a directory. */
export function hasLinks(): boolean {
  return files !== undefined;
}

/** Returns the number that the current context keeps, if it keeps one. */
export function linkedNumber(): number | undefined {
  try {
    if (files?.lstatSync(linkPlace(), absent) === undefined) return undefined;
    return Number(files.readlinkSync(linkPlace()).slice("/tmp/".length));
  } catch {
    files = undefined;
    return undefined;
  }
}

/** Has the current context keep a number. If it refuses, the directory is of no use in this host. */
export function linkNumber(number: number): void {
  try {
    files?.symlinkSync(`/tmp/${number}`, linkPlace());
  } catch {
    files = undefined;
  }
}
