// @ts-check
// Runs the conformance suite in real workerd, inside one request, on the build that Workers import.

import test from "node:test";
import { startWorkerd } from "../../integration/workers/workerd.mjs";
import { bundle, report } from "./bundle.mjs";

const entry = `
  import { QueuePool } from "edgepool";
  // At module scope Workers refuse timers, clocks and random numbers: importing and constructing must need none.
  const pool = new QueuePool(() => ({ close() {} }), { resetOnReturn: "none" });
  export default {
    async fetch(request) {
      await pool.use(() => {});
      // The pool cannot know that the first context of all is a request; it knows it of the second.
      if (request.url.endsWith("/first")) return new Response("");
      // Evaluated here because the fake clock sets a timer when it loads.
      const [topics, { runAll }] = await Promise.all([import("topics"), import("./suite.mjs")]);
      return Response.json(await runAll(topics, 3_000));
    },
  };
`;

test("the conformance suite in workerd", async (t) => {
  const main = { bundle: (folder) => bundle({ entry, outdir: folder, conditions: ["workerd", "worker", "browser"] }) };
  const workerd = await startWorkerd({ workers: { main }, show: true });
  try {
    await workerd.ask("/first");
    const { status, body } = await workerd.ask("/", { timeoutMs: 120_000 });
    if (status !== 200) throw new Error(`workerd answered ${status}: ${body}`);
    await report(t, body);
  } finally {
    await workerd.stop();
  }
});
