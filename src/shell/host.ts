/** What the shell must know of the host beyond its clock. Used by callers.ts and leaks.ts. */

interface Versions {
  readonly node?: string;
  readonly bun?: string;
  readonly deno?: string;
}

const { process, navigator } = globalThis as { process?: { versions?: Versions }; navigator?: { userAgent?: string } };

const isWorkers = navigator?.userAgent === "Cloudflare-Workers";

/** Whether what a finalisation callback starts has a context to run in. In Workers it has none: there it may only mark. */
export const finalizersMayAct = !isWorkers;

/**
 * Whether a host that resolves a promise with a thenable calls its `then` in the async context in which the promise was
 * made. Node did until 22, by its hooks. Hosts that carry context in frames (Node from 24 on, Deno, Bun, workerd) call it
 * in that of whoever resolved. Browsers have no async context to keep.
 */
export const thenableKeepsContext = ((): boolean => {
  if (isWorkers) return false;
  const versions = process?.versions;
  if (versions?.node === undefined) return true;
  return versions.bun === undefined && versions.deno === undefined && Number.parseInt(versions.node, 10) < 24;
})();
