/**
 * Vercel, Next.js and Nitro: their hosts refuse to compile bytes. Their bundlers give what is imported with `?module`
 * as a module.
 */

import { identifyBy } from "../engine/contexts.js";
import { cloudflareWorkers } from "../host.js";
import module from "../wasm/edgepool_bg.wasm?module";
import { initSync } from "../wasm/edgepool.js";
import { attach, isAttached } from "../engine/instance.js";

if (!isAttached()) attach(initSync({ module }));
identifyBy(cloudflareWorkers() ?? {});

export * from "../index.js";
