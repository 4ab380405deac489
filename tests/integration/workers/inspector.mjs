// @ts-check
// Speaks to the inspector of a workerd that was started with `inspect: true`: the one way to see a Worker's heap. It
// knows as much of WebSockets as that takes, because Node 20 has none to give.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest } from "node:http";

export class Inspector {
  #socket;
  #answers = new Map();
  #received = Buffer.alloc(0);
  #parts = [];
  #next = 1;

  constructor(socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("error", () => {}); // workerd was ended
  }

  /** To the isolate of the Worker of this name. */
  static async connect(workerd, name) {
    const headers = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64"),
    };
    const request = httpRequest({ host: "127.0.0.1", port: workerd.inspectorPort, path: `/${name}`, headers });
    request.end();
    const [, socket] = await once(request, "upgrade");
    return new Inspector(socket);
  }

  /** Bytes of the heap that are in use, with what is garbage already. */
  async heapUsed() {
    return (await this.#call("Runtime.getHeapUsage")).usedSize;
  }

  close() {
    this.#socket.destroy();
  }

  #call(method) {
    const id = this.#next++;
    const text = Buffer.from(JSON.stringify({ id, method }));
    // A short text in one frame, masked with zeros.
    this.#socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]));
    return new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject }));
  }

  /** Takes whole frames off what was received. */
  #read(chunk) {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      if (this.#received.length < 2) return;
      const short = this.#received[1] & 0x7f;
      const start = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (this.#received.length < start) return;
      const length =
        short < 126
          ? short
          : short === 126
            ? this.#received.readUInt16BE(2)
            : Number(this.#received.readBigUInt64BE(2));
      if (this.#received.length < start + length) return;
      const [isLast, kind] = [this.#received[0] >= 0x80, this.#received[0] & 0xf];
      if (kind <= 1) this.#parts.push(this.#received.subarray(start, start + length));
      this.#received = this.#received.subarray(start + length);
      if (kind <= 1 && isLast) this.#hear(Buffer.concat(this.#parts.splice(0)).toString());
    }
  }

  #hear(text) {
    const { id, result, error } = JSON.parse(text);
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    if (error === undefined) answer?.resolve(result);
    else answer?.reject(new Error(error.message));
  }
}
