/**
 * edgepool/inspect: see your own pool. A handler that shows running pools as a page: slots, queue, lines over time and
 * events, live.
 *
 * Mount what {@link inspect} returns in any server that speaks Request and Response, or with {@link nodeListener} in
 * one of node:http. Until it is mounted it does nothing, and it shows nothing to a request that may not see the pools.
 *
 * @module
 */

import { Access } from "./access.js";
import { look, Names } from "./look.js";
import { readOptions, type InspectOptions } from "./options.js";
import { pageFor, pageHeaders, plainAnswer, streamHeaders } from "./page.js";
import { Viewers } from "./viewers.js";

export { nodeListener, type NodeRequest, type NodeResponse } from "./node-listener.js";
export type { Authorize, InspectAccess, InspectOptions } from "./options.js";

/** Answers a request with the page, its stream of pictures, or a refusal. */
export type Inspector = (request: Request) => Promise<Response>;

/**
 * Returns a handler that shows pools to the requests that may see them. Throws an {@link ArgumentError} for a wrong
 * option: `pools`, and one of `token` and `authorize`, are required. The handler adds nothing to the pools while it has
 * no viewer.
 */
export function inspect(options: InspectOptions): Inspector {
  const settings = readOptions(options);
  const access = new Access(settings);
  const viewers = new Viewers(settings);
  return async (request) => {
    const refused = await access.refusalOf(request);
    if (refused !== undefined) return refused;
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") return plainAnswer(405, "only GET and HEAD", { allow: "GET, HEAD" });
    const isStream = new URL(request.url, "http://localhost").searchParams.has("events");
    if (method === "HEAD") return new Response(null, { headers: isStream ? streamHeaders : pageHeaders });
    if (isStream) return new Response(viewers.stream(), { headers: streamHeaders });
    const seen = settings.poolsOf().map((pool) => look(pool, new Names()));
    return new Response(pageFor(seen), { headers: pageHeaders });
  };
}
