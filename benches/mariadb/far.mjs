// @ts-check
// A process between the pools and the server: each packet takes so many milliseconds one way. Sends its port.

import { connect, createServer } from "node:net";

const [port, ms] = process.argv.slice(2).map(Number);

const server = createServer((client) => {
  const upstream = connect({ port, host: "127.0.0.1" });
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ]) {
    from.setNoDelay(true);
    from.on("data", (bytes) => setTimeout(() => to.write(bytes), ms));
    from.on("error", () => {}).on("close", () => to.destroy());
  }
});
server.listen(0, "127.0.0.1", () => {
  const { port: own } = /** @type {import("node:net").AddressInfo} */ (server.address());
  process.send?.(own);
});
