/** The answers of the handler: the page, with its script and style in it, and the headers of each answer. */

import type { SeenPool } from "./look.js";

/** The page's script and style, and their hashes: scripts/bundle.mjs makes them of src/picture. */
declare const pageAssets: { script: string; style: string; scriptHash: string; styleHash: string };

const { script, style, scriptHash, styleHash } = pageAssets;

const common = {
  "cache-control": "no-store, no-transform",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
};

const bare = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const pageHeaders: Record<string, string> = {
  ...common,
  "content-type": "text/html; charset=utf-8",
  "content-security-policy":
    `${bare}; script-src '${scriptHash}'; style-src '${styleHash}'; img-src data:; connect-src 'self'; ` +
    "require-trusted-types-for 'script'; trusted-types 'none'",
};

export const streamHeaders: Record<string, string> = {
  ...common,
  "content-type": "text/event-stream; charset=utf-8",
  "content-security-policy": bare,
  // Proxies such as nginx collect an answer otherwise.
  "x-accel-buffering": "no",
};

export function plainAnswer(status: number, text: string, more: Record<string, string> = {}): Response {
  const headers = { ...common, "content-type": "text/plain; charset=utf-8", "content-security-policy": bare, ...more };
  return new Response(`${text}\n`, { status, headers });
}

/** Returns the page. Its script draws what the stream brings; without scripts it is a table of numbers. */
export function pageFor(pools: readonly SeenPool[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>edgepool: the pools of this program</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header class="top">
<h1>edgepool</h1><p class="motto">The pools of this program</p><p id="link" role="status"></p>
</header>
<main>
<div class="panes" id="panes"></div>
<section class="log" id="log-area" aria-labelledby="log-name" hidden>
<header>
<h2 id="log-name">What happened <small class="hint">the latest 40</small></h2>
<label><input type="checkbox" id="only-notable"> only notable events</label>
</header>
<ol id="log" tabindex="0" aria-label="Events, the latest first"></ol>
</section>
<noscript>
<p class="hint">The live picture needs JavaScript. These are the numbers of this moment; load the page again.</p>
${pools.map(tableOf).join("\n")}</noscript>
</main>
<script type="module">${script}</script>
</body>
</html>
`;
}

function tableOf({ name, stats }: SeenPool): string {
  const rows = Object.entries(stats ?? {}).map(
    ([key, value]) => `<tr><th scope="row">${escaped(key)}</th><td>${escaped(String(value))}</td></tr>`,
  );
  return `<table><caption>${escaped(name)}</caption>${rows.join("")}</table>`;
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] as string);
}
