/** What this folder uses of Cloudflare's runtime. Users have these types from `wrangler types`; they are not published here. */

declare module "cloudflare:workers" {
  export abstract class DurableObject<Env = unknown> {
    protected ctx: DurableObjectState;
    protected env: Env;
    constructor(ctx: DurableObjectState, env: Env);
  }

  /** What is passed by reference over RPC: its methods can be called from afar until its stub is disposed. */
  export abstract class RpcTarget {}
}

interface DurableObjectState {
  readonly id: { readonly name?: string; toString(): string };
}
