/** Decides which requests may see the pools. A refusal says nothing about them. */

import { isObject } from "../host.js";
import { ArgumentError } from "../errors.js";
import { show } from "../validate.js";
import type { Settings } from "./options.js";
import { plainAnswer } from "./page.js";

/** Longer headers are not read. */
const longestHeader = 4096;

export class Access {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Returns the refusal of a request, or undefined if it may see the pools. */
  async refusalOf(request: Request): Promise<Response | undefined> {
    if (!isObject(request) || typeof request.headers?.get !== "function")
      throw new ArgumentError(`the handler of inspect() wants a Request; it got ${show(request)}`);
    const { token } = this.#settings;
    if (token === undefined) return (await this.#isAuthorized(request)) ? undefined : plainAnswer(403, "forbidden");
    if (await isSame(tokenIn(request.headers.get("authorization") ?? ""), token)) return undefined;
    return plainAnswer(401, "unauthorized", { "www-authenticate": 'Basic realm="pools", charset="UTF-8"' });
  }

  async #isAuthorized(request: Request): Promise<boolean> {
    const { authorize, authorizeTimeoutMs } = this.#settings;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const tooLate = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), authorizeTimeoutMs)));
      return (await Promise.race([authorize?.(request), tooLate])) === true;
    } catch (error) {
      // The program's function has failed, and the one that asks must not learn how.
      console.error("edgepool/inspect: authorize failed", error);
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Returns the token of a header `Authorization`, or "". */
function tokenIn(header: string): string {
  if (header.length > longestHeader) return "";
  const [, scheme = "", value = ""] = /^(Bearer|Basic) +(.*\S)\s*$/i.exec(header) ?? [];
  if (scheme.toLowerCase() !== "basic") return value;
  try {
    const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
    const text = new TextDecoder().decode(bytes);
    return text.slice(text.indexOf(":") + 1);
  } catch {
    return "";
  }
}

/** Compares two texts in a time that depends on neither: by their digests, each byte of them. */
async function isSame(one: string, other: string): Promise<boolean> {
  const [first, second] = (await Promise.all([one, other].map(digest))) as [Uint8Array, Uint8Array];
  let difference = 0;
  for (const [place, byte] of first.entries()) difference |= byte ^ (second[place] as number);
  return difference === 0;
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
