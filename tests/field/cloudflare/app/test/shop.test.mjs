import { exports } from "cloudflare:workers";
import { AssertionPool } from "edgepool";
import { expect, test } from "vitest";
import worker from "../worker.mjs";

const request = () => new Request("http://shop/customers");

test("a handler that the test calls has rows", async () => {
  expect((await (await worker.fetch(request())).json()).names).toEqual(["Ada", "Grace"]);
});

test("the Worker itself has rows", async () => {
  expect((await (await exports.default.fetch(request())).json()).names).toEqual(["Ada", "Grace"]);
});

test("an AssertionPool finds a second lease", async () => {
  const pool = new AssertionPool(() => ({ rollback() {}, close() {} }));
  await pool.use(() => expect(pool.connect()).rejects.toMatchObject({ code: "ERR_POOL_ASSERTION" }));
});
