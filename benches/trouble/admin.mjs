// A connection to the server past the proxy: it kills backends, and counts them every 50 ms.

import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

const backends = "FROM pg_stat_activity WHERE application_name = 'trouble'";

export class Admin {
  #options;
  #client;

  constructor(options) {
    this.#options = { ...options, connectionTimeoutMillis: 1000 };
  }

  /** Runs a statement. Returns no rows while the server is away. */
  async #ask(text) {
    try {
      if (this.#client === undefined) {
        const client = new pg.Client(this.#options);
        client.on("error", () => {});
        client.on("end", () => (this.#client = undefined));
        await client.connect();
        this.#client = client;
      }
      return (await this.#client.query(text)).rows;
    } catch {
      return [];
    }
  }

  async prepare() {
    await this.#ask("CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL)");
    await this.#ask("INSERT INTO things VALUES (1, 'one')");
  }

  killTwo() {
    return this.#ask(`SELECT pg_terminate_backend(pid) ${backends} ORDER BY random() LIMIT 2`);
  }

  /** Ends what the last run left, and resolves when it has ended. */
  async clear() {
    do await this.#ask(`SELECT pg_terminate_backend(pid) ${backends}`);
    while ((await this.#count()) !== 0);
  }

  async #count() {
    const [row] = await this.#ask(`SELECT count(*)::int AS count ${backends}`);
    return row?.count;
  }

  /** Returns the most backends at a time, when `isOver()`. */
  async watch(isOver) {
    let most = 0;
    while (!isOver()) {
      most = Math.max(most, (await this.#count()) ?? 0);
      await sleep(50);
    }
    return most;
  }

  end() {
    return this.#client?.end();
  }
}
