/**
 * The viewers: each has a stream, and gets the newest picture when it has read the one before. Nothing is kept for a
 * slow reader. Viewers share one timer, but for Workers: there a stream and its timer belong to one request.
 */

import { holdProcess } from "../clock.js";
import { hasContexts } from "../host.js";
import type { Settings } from "./options.js";
import { Watch, type Picture } from "./watch.js";

/** A picture like the one before is sent only so often: to show that the stream lives. */
const heartbeatMs = 2000;
/** A viewer that reads nothing for so long has left. */
const readWithinMs = 30_000;
/** Then the viewer connects again, and is authorised again. */
const longestStreamMs = 15 * 60_000;

export class Viewers {
  readonly #settings: Settings;
  #shared: Ticker | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Returns the stream of one more viewer. */
  stream(): ReadableStream<Uint8Array> {
    const ticker = hasContexts ? new Ticker(this.#settings) : (this.#shared ??= new Ticker(this.#settings));
    const viewer = new Viewer(ticker);
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => viewer.begin(controller),
        pull: () => viewer.want(),
        cancel: () => ticker.leave(viewer),
      },
      { highWaterMark: 0 },
    );
  }
}

/** Takes pictures while there are viewers. */
class Ticker {
  readonly watch: Watch;
  readonly #intervalMs: number;
  readonly #viewers = new Set<Viewer>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #latest: Picture | undefined;

  constructor({ poolsOf, intervalMs }: Settings) {
    this.watch = new Watch(poolsOf);
    this.#intervalMs = intervalMs;
  }

  join(viewer: Viewer): void {
    this.#latest ??= this.watch.take();
    this.#viewers.add(viewer);
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#tick(), this.#intervalMs);
    // The server keeps the process alive, if anything does.
    holdProcess(this.#timer, false);
  }

  leave(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer) || this.#viewers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#latest = undefined;
    this.watch.stop();
  }

  /** The newest picture, while there are viewers. */
  get latest(): Picture {
    return this.#latest as Picture;
  }

  #tick(): void {
    // Fake timers may ring after they were cleared.
    if (this.#timer === undefined) return;
    try {
      this.#latest = this.watch.take();
    } catch (error) {
      // The program's function `pools` has failed.
      console.error("edgepool/inspect: the pools cannot be read", error);
      for (const viewer of this.#viewers) viewer.end();
      return;
    }
    for (const viewer of this.#viewers) viewer.offer(this.#latest);
  }
}

const encoder = new TextEncoder();

class Viewer {
  readonly #ticker: Ticker;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  readonly #beganAt = Date.now();
  /** Whether a read waits for the next picture; since when none did. */
  #isWanted = false;
  #sentAt = 0;
  #sent: string | undefined;
  #written = 0;

  constructor(ticker: Ticker) {
    this.#ticker = ticker;
  }

  begin(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#ticker.join(this);
    this.#written = this.#ticker.watch.written;
  }

  /** A read waits. The first one is answered at once. */
  want(): void {
    this.#isWanted = true;
    if (this.#sent === undefined || this.#ticker.latest.isLast) this.offer(this.#ticker.latest);
  }

  /** Sends the picture if a read waits and there is something new. */
  offer(picture: Picture): void {
    const { at, pools, isLast } = picture;
    if (!this.#isWanted) {
      if (at - this.#sentAt > readWithinMs) this.end();
      return;
    }
    const { watch } = this.#ticker;
    const { lines, missed } = watch.linesSince(this.#written);
    if (this.#sent === pools && lines.length === 0 && !isLast && at - this.#sentAt < heartbeatMs) return;
    this.#sent = pools;
    this.#sentAt = at;
    this.#written = watch.written;
    this.#isWanted = false;
    const data = `{"at":${at},"pools":${pools},"lines":${JSON.stringify(lines)},"missed":${missed}}`;
    this.#controller.enqueue(encoder.encode(`${isLast ? "event: last\n" : ""}data: ${data}\n\n`));
    if (isLast || at - this.#beganAt > longestStreamMs) this.end();
  }

  end(): void {
    this.#ticker.leave(this);
    try {
      this.#controller.close();
    } catch {
      // The client has left by now.
    }
  }
}
