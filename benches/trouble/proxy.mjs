// A TCP proxy on the loopback between the pools and the server, in a process of its own. It carries bytes, and does on
// request what a bad network does. It counts connections by their first bytes; a CancelRequest counts apart.

import { once } from "node:events";
import { connect, createServer } from "node:net";
import { answerParent } from "./child.mjs";

const cancelRequestCode = 80_877_102;
const upstreamPort = Number(process.argv[2]);
const links = new Set();
let mode = "pass";
let counted = { opened: 0, cancels: 0 };

const server = createServer((client) => new Link(client));
let port = 0;

/** A client's socket and its socket to the server. */
class Link {
  #ends;
  #isCut = false;
  #isFirst = true;
  #held = [];

  constructor(client) {
    links.add(this);
    const upstream = connect({ port: upstreamPort, host: "127.0.0.1" });
    this.#ends = [client, upstream];
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ]) {
      from.setNoDelay(true);
      from.on("data", (bytes) => this.#forward(bytes, from === client, to));
      from.on("end", () => this.#isCut || to.end());
      // The server's port is closed, or the other side is gone.
      from.on("error", () => this.#isCut || to.resetAndDestroy());
      from.on("close", () => {
        if (!this.#isCut) to.end();
        if (this.#ends.every((end) => end.destroyed)) links.delete(this);
      });
    }
  }

  #forward(bytes, isOfClient, to) {
    if (isOfClient && this.#isFirst) {
      this.#isFirst = false;
      const isCancel = bytes.length === 16 && bytes.readInt32BE(4) === cancelRequestCode;
      counted[isCancel ? "cancels" : "opened"]++;
    }
    if (this.#isCut || mode === "swallow") return;
    if (mode === "hold") this.#held.push([to, bytes]);
    else to.write(bytes);
  }

  deliver() {
    for (const [to, bytes] of this.#held.splice(0)) to.write(bytes);
  }

  /** Ends the server's side, while the client sees nothing. */
  cut() {
    this.#isCut = true;
    this.#ends[1].destroy();
  }
}

async function listen() {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  port = server.address().port;
}

/** Resolves when the server accepts a connection. */
async function untilServerListens() {
  for (;;) {
    const isThere = await new Promise((resolve) => {
      const probe = connect({ port: upstreamPort, host: "127.0.0.1" });
      probe.on("connect", () => resolve(true)).on("error", () => resolve(false));
      probe.on("connect", () => probe.destroy());
    });
    if (isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

answerParent({
  async listen() {
    await listen();
    return port;
  },
  /** Passes all bytes, the held ones first. */
  pass() {
    mode = "pass";
    for (const link of links) link.deliver();
  },
  /** Loses all bytes of both sides; connections stay open, and new ones are accepted. */
  swallow() {
    mode = "swallow";
  },
  /** Keeps all bytes until `pass`. */
  hold() {
    mode = "hold";
  },
  /** Cuts all present connections: their clients get no byte and no end any more. */
  cut() {
    for (const link of links) link.cut();
  },
  /** Closes the port: a new connection is refused. Present ones continue. */
  refuse() {
    server.close();
  },
  /** Opens the port again when the server has opened its own. */
  async accept() {
    await untilServerListens();
    await listen();
  },
  /** Starts the count of a run. */
  count() {
    counted = { opened: 0, cancels: 0 };
  },
  counted: () => counted,
});
