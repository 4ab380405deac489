// docs/guide.md, "A Durable Object": what blockConcurrencyWhile() and storage.transaction() do to a connection. Inside
// them the runtime delivers only what began inside.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../../../scripts/run.mjs";
import { startWorkerdOnPostgres } from "./workerd.mjs";

let workerd;
let stop;

before(async () => {
  const entry = join(root, "tests/integration/workers/gates-worker.mjs");
  ({ workerd, stop } = await startWorkerdOnPostgres({
    workers: { main: { entry, durableObjects: { SHOP: "Shop" } } },
  }));
});

after(() => stop());

const ask = async (path) => {
  const { status, body } = await workerd.ask(path);
  assert.equal(status, 200, `${path}: ${JSON.stringify(body)}\n${workerd.log.join("\n")}`);
  return body;
};

test("a connection that the constructor opened inside blockConcurrencyWhile() serves later requests", async () => {
  const { inside, outside } = await ask("/constructor?object=constructor");
  assert.equal(outside, inside);
});

for (const gate of ["blockConcurrencyWhile", "transaction"]) {
  test(`inside ${gate}() a connection that was opened outside answers nothing, and outside it does again`, async () => {
    assert.deepEqual(await ask(`/pooled?object=${gate}&gate=${gate}`), { answered: false, same: true });
  });

  test(`inside ${gate}() a NullPool opens connections that answer, each time`, async () => {
    assert.deepEqual(await ask(`/inside?object=${gate}&gate=${gate}`), { answered: true });
    assert.deepEqual(await ask(`/inside?object=${gate}&gate=${gate}`), { answered: true });
  });
}
