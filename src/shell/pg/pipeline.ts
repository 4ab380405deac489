/**
 * Runs several queries on one lent client, which sends them without waiting for the answers. The pool lends a client to
 * one holder at a time, and that is this pipeline: which of its clients a query shares, and how many share one, is
 * decided here.
 */

import type { Client } from "./client.js";

/** As many queries share a client at most: a slow one holds up those behind it. */
const depth = 40;

/** As long as it has only few clients, a pipeline asks for the next one when each has so many queries. */
const few = 3;
const shallow = 6;

/** After so many queries a client goes back, so that its reset, its age and its uses count. */
const mostInTurn = 1_000;

interface Job {
  readonly serial: number;
  readonly query: unknown;
  readonly values: unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Line {
  readonly client: Client;
  inFlight: number;
  taken: number;
}

/** What the pipeline asks of its pool. */
export interface ClientSource {
  /** Lends a client, within the pool's limits. */
  lend(): Promise<Client>;
  /** Whether the client is still lent: it may have died. */
  isLent(client: Client): boolean;
  /** Whether callers wait for clients of their own: then the pipeline gives its clients back. */
  areAsking(): boolean;
}

export class Pipeline {
  readonly #source: ClientSource;
  readonly #lines: Line[] = [];
  #waiting: Job[] = [];
  #lending = 0;
  #serial = 0;

  constructor(source: ClientSource) {
    this.#source = source;
  }

  query(query: unknown, values: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const job: Job = { serial: ++this.#serial, query, values, resolve, reject };
      const line = this.#waiting.length === 0 ? this.#lineFor() : undefined;
      if (line !== undefined) return this.#send(line, job);
      this.#waiting.push(job);
      this.#ask();
    });
  }

  /** The open client with the fewest queries, unless another client is better. */
  #lineFor(): Line | undefined {
    let best: Line | undefined;
    for (const line of this.#lines)
      if (this.#isOpen(line) && (best === undefined || line.inFlight < best.inFlight)) best = line;
    return best !== undefined && best.inFlight < this.#usualDepth() ? best : undefined;
  }

  #usualDepth(): number {
    return this.#lines.length + this.#lending < few ? shallow : depth;
  }

  #isOpen({ client, inFlight, taken }: Line): boolean {
    // A driver that sends one query at a time gains nothing.
    const most = (client as { pipeline?: unknown }).pipeline === true ? depth : 1;
    return inFlight < most && taken < mostInTurn && !this.#source.areAsking() && this.#source.isLent(client);
  }

  /** Asks for as many clients as those that wait can fill. */
  #ask(): void {
    while (this.#lending * this.#usualDepth() < this.#waiting.length) {
      const { serial } = this.#waiting.at(-1) as Job;
      this.#lending++;
      this.#source.lend().then(
        (client) => {
          this.#lending--;
          const line: Line = { client, inFlight: 0, taken: 0 };
          this.#lines.push(line);
          this.#serve(line, Math.ceil(this.#waiting.length / (this.#lending + 1)));
        },
        (error: unknown) => {
          this.#lending--;
          // Those that came later have time left.
          const refused = this.#waiting.filter((job) => job.serial <= serial);
          this.#waiting = this.#waiting.filter((job) => job.serial > serial);
          for (const job of refused) job.reject(error);
          this.#ask();
        },
      );
    }
  }

  /** Gives a client what waits, or back. One that was lent just now takes its `share`. */
  #serve(line: Line, share = 0): void {
    for (let left = share; this.#waiting.length > 0; left--) {
      if (left <= 0 && (share > 0 || !this.#isOpen(line))) break;
      this.#send(line, this.#waiting.shift() as Job);
      if (line.inFlight >= depth) break;
    }
    if (line.inFlight > 0) return;
    this.#lines.splice(this.#lines.indexOf(line), 1);
    line.client.release?.();
    if (this.#waiting.length > 0) this.#ask();
  }

  #send(line: Line, { query, values, resolve, reject }: Job): void {
    line.inFlight++;
    line.taken++;
    const answered = (error: unknown, result?: unknown): void => {
      line.inFlight--;
      if (error) reject(error);
      else resolve(result);
      if (line.inFlight === 0 || this.#waiting.length > 0) this.#serve(line);
    };
    try {
      line.client.query(query, values, answered);
    } catch (error) {
      queueMicrotask(() => answered(error));
    }
  }
}
