/** Opens the driver's clients. */

import type { OpeningContext } from "edgepool";
import type { Client, ClientClass } from "./client.js";

const ignore = (): void => {};

/** Makes a client and connects it. Its socket is destroyed if the pool gives the opening up. */
export async function connected(
  Class: ClientClass,
  options: object,
  opening: OpeningContext,
  made?: (client: Client) => void,
): Promise<Client> {
  const client = new Class(options);
  made?.(client);
  // Without a listener an error of the client ends the process.
  client.on("error", ignore);
  const { signal } = opening;
  const giveUp = (): void => destroy(client);
  signal.addEventListener("abort", giveUp);
  try {
    await new Promise<void>((resolve, reject) => {
      const answer = client.connect((error) => (error ? reject(error) : resolve()));
      const isPromise = typeof (answer as PromiseLike<unknown> | undefined)?.then === "function";
      if (isPromise) (answer as PromiseLike<unknown>).then(() => resolve(), reject);
    });
    if (!signal.aborted) return client;
    destroy(client);
    throw signal.reason;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

function destroy(client: Client): void {
  const stream = client.connection?.stream;
  if (stream?.destroy !== undefined) stream.destroy();
  else void client.end().catch(ignore);
}
