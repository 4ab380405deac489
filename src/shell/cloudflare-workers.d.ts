/**
 * What the package uses of Cloudflare's runtime. Users have these types from `wrangler types`; they are not published
 * here.
 */

declare module "cloudflare:workers" {
  export abstract class DurableObject<Env = unknown> {
    protected ctx: DurableObjectState;
    protected env: Env;
    constructor(ctx: DurableObjectState, env: Env);
  }

  /** Older runtimes have none. */
  export const tracing: { getActiveSpan?(): object | undefined } | undefined;

  /** What is passed by reference over RPC: its methods can be called from afar until its stub is disposed. */
  export abstract class RpcTarget {}
}

interface DurableObjectState {
  readonly id: { readonly name?: string; toString(): string };
}
