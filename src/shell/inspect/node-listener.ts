/** Mounts an inspector in a server of node:http, whose requests and responses are no Request and Response. */

/** What is read of an IncomingMessage. */
export interface NodeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** What is used of a ServerResponse. */
export interface NodeResponse {
  writeHead(status: number, headers?: Record<string, string>): unknown;
  /** Returns false if the client should read first. */
  write(chunk: Uint8Array): boolean;
  end(text?: string): unknown;
  once(event: "drain" | "close", listener: () => void): unknown;
  off(event: "drain" | "close", listener: () => void): unknown;
}

/**
 * Returns a listener for `createServer()` of node:http, or a handler of Express: `app.get("/pools", nodeListener(…))`.
 * The stream ends when its client leaves.
 */
export function nodeListener(
  inspector: (request: Request) => Promise<Response>,
): (request: NodeRequest, response: NodeResponse) => void {
  return (request, response) => {
    let asked: Request;
    try {
      asked = new Request(new URL(request.url ?? "/", "http://localhost"), {
        method: request.method ?? "GET",
        headers: headersOf(request),
      });
    } catch {
      refuse(response, 400, "bad request");
      return;
    }
    inspector(asked).then(
      (answer) => void send(answer, response),
      (error: unknown) => {
        console.error("edgepool/inspect failed", error);
        refuse(response, 500, "internal server error");
      },
    );
  };
}

function refuse(response: NodeResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(`${text}\n`);
}

function headersOf({ headers }: NodeRequest): Headers {
  const made = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    // Those of HTTP/2 with a colon are no headers.
    if (value === undefined || name.startsWith(":")) continue;
    for (const one of Array.isArray(value) ? value : [value]) made.append(name, one);
  }
  return made;
}

async function send(answer: Response, response: NodeResponse): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers as unknown as Iterable<[string, string]>));
  const reader = answer.body?.getReader();
  if (reader === undefined) {
    response.end();
    return;
  }
  response.once("close", () => void reader.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!response.write(value)) await readBy(response);
  }
  response.end();
}

/** Resolves when the client has read what was written, or has left. */
function readBy(response: NodeResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go);
      response.off("close", go);
      resolve();
    };
    response.once("drain", go);
    response.once("close", go);
  });
}
