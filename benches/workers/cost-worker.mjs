// The Worker of cost.mjs: requests that do the same with and without a pool of scripted connections. What differs is
// what the pool costs.

import { DurableObject, tracing } from "cloudflare:workers";
import { QueuePool } from "edgepool";

const dialect = { inTransaction: () => false };
const pool = new QueuePool(() => ({ rollback() {}, close() {} }), { dialect });

const use = async () => (await pool.connect()).close();
const nothing = async () => {};

const requests = {
  "/empty": nothing,
  "/connects": async () => {
    await use();
    await use();
  },
  "/spans": async () => {
    await tracing.enterSpan("one", nothing);
    await tracing.enterSpan("two", nothing);
  },
  "/connects-in-spans": async () => {
    await tracing.enterSpan("one", use);
    await tracing.enterSpan("two", use);
  },
};

/** A Worker that has objects must tell them from requests. */
export class Other extends DurableObject {}

export default {
  async fetch(request) {
    await requests[new URL(request.url).pathname]();
    return new Response("done");
  },
};
