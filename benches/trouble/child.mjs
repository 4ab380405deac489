// A process of the benchmark's own that does what its parent asks, by name, over Node's channel. It ends with its
// parent.

import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** In the child: answers the parent's requests. `atEnd` runs if the parent has ended without a word. */
export function answerParent(acts, atEnd = () => {}) {
  process.on("message", async ({ id, act, args }) => {
    if (act === undefined) return;
    try {
      process.send({ id, result: await acts[act](...args) });
    } catch (error) {
      process.send({ id, failure: `${act}: ${error.message}` });
    }
  });
  // Ctrl+C reaches the whole group; the parent ends its children.
  process.on("SIGINT", () => {});
  process.once("disconnect", async () => {
    await atEnd();
    process.exit();
  });
  process.send({ ready: true });
}

/** In the child: lets the parent do its part, and resolves when it has. */
export async function report(what) {
  process.send({ report: what });
  while ((await once(process, "message"))[0].done !== what);
}

/** In the parent: starts a file of this folder. */
export class Child {
  #process;
  #asked = new Map();
  #lastId = 0;
  /** What this process does at a report of its child, by the report's name. */
  reports = {};

  static async start(file, ...args) {
    const child = new Child();
    child.#process = fork(join(import.meta.dirname, file), args, { serialization: "advanced" });
    child.#process.on("message", async ({ id, result, failure, report }) => {
      if (report !== undefined) {
        await child.reports[report]();
        child.#process.send({ done: report });
      }
      const { resolve, reject } = child.#asked.get(id) ?? {};
      child.#asked.delete(id);
      if (failure === undefined) resolve?.(result);
      else reject?.(new Error(failure));
    });
    child.#process.once("exit", (code, signal) => {
      for (const { reject } of child.#asked.values()) reject(new Error(`${file} ended: ${signal ?? code}`));
    });
    await new Promise((resolve, reject) => {
      child.#process.once("message", resolve);
      child.#process.once("exit", () => reject(new Error(`${file} ended as it began`)));
    });
    return child;
  }

  ask(act, ...args) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#asked.set(id, { resolve, reject });
      this.#process.send({ id, act, args });
    });
  }

  /** Ends the process; kills it if it does not end within `ms`. */
  async end(ms = 10_000) {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.disconnect();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), ms);
    await ended;
    clearTimeout(timer);
  }
}
