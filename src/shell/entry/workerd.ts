/** Cloudflare Workers: workerd refuses to compile bytes at run time and gives a `.wasm` import as a module. */

import * as workers from "cloudflare:workers";
import { identifyBy } from "../engine/contexts.js";
import module from "../wasm/edgepool_bg.wasm";
import { initSync } from "../wasm/edgepool.js";
import { attach, isAttached } from "../engine/instance.js";

if (!isAttached()) attach(initSync({ module }));
identifyBy(workers);

export * from "../index.js";
