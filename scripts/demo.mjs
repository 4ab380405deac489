// @ts-check
// npm run demo: sets up whatever is missing, builds, and serves the demo page (www/). The server shows only four
// folders of this repository, under their own names, with the Content-Security-Policy that a page with the pool needs.

import { once } from "node:events";
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { pipeline } from "node:stream";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";
import { fail, root, say } from "./run.mjs";

const folders = ["www", "src/picture", "pkg", "node_modules/@sqlite.org/sqlite-wasm/dist"].map(
  (path) => join(root, ...path.split("/")) + sep,
);

const types = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

const policy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Serves the page on this machine only; returns the server and the page's address. Port 0 means any free one. */
export async function serveDemo(port) {
  const server = createServer((request, response) => {
    try {
      answer(request, response);
    } catch {
      // An address that cannot be read is the sender's mistake, and must not end the server.
      response.writeHead(400, { "content-type": "text/plain" }).end("bad request\n");
    }
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { server, url: `http://127.0.0.1:${address.port}/www/` };
}

function answer(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/" || pathname === "/www") {
    response.writeHead(302, { location: "/www/" }).end();
    return;
  }
  const path = fileOf(decodeURIComponent(pathname));
  if (path === undefined) {
    response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
    return;
  }
  response.writeHead(200, {
    "content-type": types[extname(path)],
    "content-security-policy": policy,
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
  });
  // A visitor that leaves in the middle is no error.
  pipeline(createReadStream(path), response, () => {});
}

/** Returns the file of a path; undefined if the server shows none there. */
function fileOf(pathname) {
  const path = normalize(join(root, pathname.endsWith("/") ? `${pathname}index.html` : pathname));
  const isShown = folders.some((folder) => path.startsWith(folder)) && extname(path) in types;
  return isShown && statSync(path, { throwIfNoEntry: false })?.isFile() ? path : undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.env.PORT ?? 8080);
  let url;
  try {
    // Takes the port before the build, which would replace pkg/ under a running server.
    ({ url } = await serveDemo(port));
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    fail(`the demo cannot be served on port ${port} (${code}): choose another port, as in PORT=8081 npm run demo`);
  }
  build();
  say(`the demo is at ${url} (Ctrl+C ends it, PORT=… changes the port)`);
}
