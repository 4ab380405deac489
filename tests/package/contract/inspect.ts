// edgepool/inspect: how a handler is made and mounted, and what its types refuse.

import { QueuePool } from "edgepool";
import {
  inspect,
  nodeListener,
  type Authorize,
  type InspectAccess,
  type InspectOptions,
  type Inspector,
  type NodeRequest,
  type NodeResponse,
} from "edgepool/inspect";
import { holds, type Same } from "./same.js";

const pool = new QueuePool(() => ({ query: (text: string) => text }));

export const byToken: Inspector = inspect({ pools: pool, token: "a secret of the tests" });
export const several: Inspector = inspect({ pools: [pool, pool], authorize: () => true, interval: "1s" });
export const later = inspect({ pools: () => undefined, authorize: async () => false, authorizeTimeout: 2 });
export const answer: Promise<Response> = byToken(new Request("http://localhost/"));
export const listener: (request: NodeRequest, response: NodeResponse) => void = nodeListener(byToken);

// @ts-expect-error Everybody could see the pools.
inspect({ pools: pool });
// @ts-expect-error One of both.
inspect({ pools: pool, token: "a secret of the tests", authorize: () => true });
// @ts-expect-error Not a pool.
inspect({ pools: {}, token: "a secret of the tests" });
// @ts-expect-error Only true or false decides.
inspect({ pools: pool, authorize: () => "yes" });

export const access: InspectAccess = { token: "a secret of the tests" };
export const options: InspectOptions = { ...access, pools: pool };
holds<Same<Authorize, (request: Request) => boolean | PromiseLike<boolean>>>();
