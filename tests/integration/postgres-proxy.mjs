// @ts-check
// A proxy between clients and a PostgreSQL: it falls silent, as a firewall does that has forgotten its connections, and
// changes what the server says of errors, as a server of another language does.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** @typedef {Record<string, string>} Fields the fields of an error, by the letters of the protocol */

/**
 * Starts a proxy on a free port. `translate` gets the fields of each error and notice of the server, and changes them.
 *
 * @param {() => number} port of the server, which may start later
 * @param {{ translate?: (fields: Fields) => void }} [options]
 */
export async function startProxy(port, { translate = () => {} } = {}) {
  const pairs = new Set();
  /** @type {Fields | undefined} */
  let nextAnswer;
  const proxy = createServer((client) => {
    const server = connect(port(), "127.0.0.1");
    const pair = { isSilent: false, client, server };
    pairs.add(pair);
    const read = messageReader((type, body) => {
      if (pair.isSilent) return;
      client.write(
        type === "E" || type === "N" ? errorMessage(type, translated(body, translate)) : message(type, body),
      );
    });
    server.on("data", read);
    client.on("data", (data) => {
      if (pair.isSilent) return;
      // libpq asks for encryption first.
      if (data.length === 8 && data.readUInt32BE(0) === 8) return void client.write("N");
      if (nextAnswer === undefined) return void server.write(data);
      translate(nextAnswer);
      client.end(errorMessage("E", nextAnswer));
      nextAnswer = undefined;
      pair.isSilent = true;
    });
    for (const socket of [client, server]) {
      socket.on("error", () => {});
      socket.on("close", () => {
        pairs.delete(pair);
        client.destroySoon();
        server.destroy();
      });
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    port: /** @type {import("node:net").AddressInfo} */ (proxy.address()).port,
    /** From now on the connections that are open neither get nor send anything. */
    silence() {
      for (const pair of pairs) pair.isSilent = true;
    },
    /**
     * Answers the next message of a client with this error, and closes its connection.
     *
     * @param {Fields} fields
     */
    answer(fields) {
      nextAnswer = fields;
    },
    async close() {
      for (const { client, server } of pairs) for (const socket of [client, server]) socket.destroy();
      proxy.close();
      await once(proxy, "close");
    },
  };
}

/** Returns a function that takes the bytes as they come, and calls back with each whole message. */
function messageReader(onMessage) {
  let rest = Buffer.alloc(0);
  return (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 5 && rest.length > rest.readUInt32BE(1)) {
      const end = rest.readUInt32BE(1) + 1;
      onMessage(String.fromCharCode(rest[0]), rest.subarray(5, end));
      rest = rest.subarray(end);
    }
  };
}

function message(type, body) {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function errorMessage(type, fields) {
  const body = Object.entries(fields).map(([letter, text]) => `${letter}${text}\0`);
  return message(type, Buffer.from(`${body.join("")}\0`));
}

function translated(body, translate) {
  const fields = Object.fromEntries(
    body
      .toString()
      .split("\0")
      .filter((field) => field !== "")
      .map((field) => [field[0], field.slice(1)]),
  );
  translate(fields);
  return fields;
}
