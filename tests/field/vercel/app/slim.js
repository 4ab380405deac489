import { initialize, QueuePool } from "edgepool/slim";
import module from "edgepool/edgepool.wasm?module";

initialize(module);
const pool = new QueuePool(() => ({ close() {} }), { resetOnReturn: "none" });

addEventListener("fetch", (event) => {
  event.respondWith(pool.use((connection) => Response.json(typeof connection.close)));
});
