/**
 * Watches pools for one viewer, or for all viewers that share a timer: listens to the events that tell of connections,
 * and takes pictures. It never listens to checkout, reset or checkin, so that those cost a watched pool no more.
 */

import type { Pool } from "../pool.js";
import type { PoolEvents } from "../events.js";
import type { ConnectionRecord } from "../record.js";
import type { PoolStats } from "../stats.js";
import { Arrivals } from "./arrivals.js";
import { clip, look, Names, type SeenPool } from "./look.js";

/** A line of the log. */
export interface Line {
  readonly at: number;
  readonly pool: string;
  readonly text: string;
  readonly isNotable: boolean;
}

/** The pools at one moment. */
export interface Picture {
  readonly at: number;
  /** The pools as JSON: one text for all viewers. */
  readonly pools: string;
  /** Whether nothing will change any more: every pool is closed and empty, or has crashed. */
  readonly isLast: boolean;
}

const mostLines = 100;
const longestText = 300;
/** A watch that has taken no picture for so long has ended without a word: the request of its viewer was killed. */
const staleMs = 120_000;

/** What is known of a pool that is watched. */
interface Watched {
  readonly names: Names;
  readonly arrivals: Arrivals;
  readonly stop: () => void;
  stats: PoolStats | undefined;
  kept: number | null | undefined;
  isClosed: boolean;
}

export class Watch {
  readonly #poolsOf: () => readonly Pool<any>[];
  readonly #watched = new Map<Pool<any>, Watched>();
  #lines: Line[] = [];
  #written = 0;
  #tookAt = 0;

  constructor(poolsOf: () => readonly Pool<any>[]) {
    this.#poolsOf = poolsOf;
  }

  /** Takes a picture. Begins to watch pools that are new, and leaves those that are there no more. */
  take(): Picture {
    const at = Date.now();
    this.#tookAt = at;
    const pools = this.#poolsOf();
    for (const [pool, { stop }] of this.#watched) {
      if (pools.includes(pool)) continue;
      stop();
      this.#watched.delete(pool);
    }
    const seen = pools.map((pool) => this.#see(pool, at));
    return {
      at,
      pools: JSON.stringify(seen),
      isLast:
        seen.length > 0 &&
        seen.every(({ crash, isClosed, stats }) => crash !== undefined || (isClosed && isEmpty(stats))),
    };
  }

  #see(pool: Pool<any>, at: number): SeenPool {
    let watched = this.#watched.get(pool);
    if (watched === undefined) this.#watched.set(pool, (watched = this.#begin(pool)));
    const seen = look(pool, watched.names);
    this.#tellChanges(watched, seen, at);
    return seen.stats === undefined
      ? seen
      : { ...seen, waiters: watched.arrivals.note(at, seen.stats, seen.longestWaitMs) };
  }

  /** Leaves the pools. */
  stop(): void {
    for (const { stop } of this.#watched.values()) stop();
    this.#watched.clear();
  }

  get written(): number {
    return this.#written;
  }

  /** Returns the lines since so many were written, and how many of them are lost. */
  linesSince(written: number): { lines: readonly Line[]; missed: number } {
    const wanted = this.#written - written;
    const lines = wanted <= 0 ? [] : this.#lines.slice(-wanted);
    return { lines, missed: wanted - lines.length };
  }

  #begin(pool: Pool<any>): Watched {
    const names = new Names();
    const pastEnd = (): boolean => {
      if (Date.now() - this.#tookAt <= staleMs) return false;
      this.stop();
      return true;
    };
    const tell = (text: string, isNotable = false): void => {
      if (!pastEnd()) this.#write(Date.now(), pool.loggingName, text, isNotable);
    };
    const name = (connection: unknown, record: object): string => `connection ${names.of(connection, record)}`;
    const events: Partial<PoolEvents<any>> = {
      connect: (connection, record) => tell(`opened ${name(connection, record)}`),
      close: (connection, record) => tell(`closing ${name(connection, record)}`),
      detach: (connection, record) => tell(`${name(connection, record)} was detached`, true),
      invalidate: (connection, record, error) =>
        tell(`${name(connection, record)} is not trusted${because(error)}`, true),
      softInvalidate: (connection, record, error) =>
        tell(`${name(connection, record)} will be replaced${because(error)}`, true),
      held: (record, milliseconds) =>
        tell(`${nameOfRecord(record, name)} has been out for ${(milliseconds / 1000).toFixed(1)} s`, true),
      error: (error, { operation }) => tell(`error in ${operation}${because(error)}`, true),
    };
    const stops = Object.entries(events).map(([event, listener]) =>
      pool.on(event as keyof PoolEvents<any>, listener as PoolEvents<any>["error"]),
    );
    const stop = (): void => stops.forEach((end) => end());
    return { names, arrivals: new Arrivals(), stop, stats: undefined, kept: undefined, isClosed: pool.closed };
  }

  /** Writes lines for what has no event: by the numbers of two pictures. */
  #tellChanges(watched: Watched, seen: SeenPool, at: number): void {
    const { stats: before, kept: keptBefore } = watched;
    const { stats, kept, name } = seen;
    const tell = (text: string): void => this.#write(at, name, text, true);
    if (before !== undefined && stats !== undefined) {
      for (const [key, one, several] of counted) {
        const more = stats[key] - before[key];
        if (more > 0) tell(more === 1 ? one : `${more} ${several}`);
      }
      if (stats.max !== before.max || kept !== keptBefore)
        tell(`resized: keeps ${kept ?? "any number of"} connections, at most ${stats.max ?? "any number"}`);
    }
    if (seen.isClosed && !watched.isClosed) tell("the pool was closed");
    if (seen.crash !== undefined && before !== undefined) tell(`the pool has crashed: ${seen.crash}`);
    watched.stats = stats;
    watched.kept = kept;
    watched.isClosed = seen.isClosed;
  }

  #write(at: number, pool: string, text: string, isNotable: boolean): void {
    this.#written++;
    this.#lines.push({ at, pool: clip(pool, 60), text: clip(text, longestText), isNotable });
    if (this.#lines.length > 2 * mostLines) this.#lines = this.#lines.slice(-mostLines);
  }
}

const counted = [
  ["timedOut", "a caller was refused because its time ran out", "callers were refused because their time ran out"],
  ["aborted", "a caller left through its signal", "callers left through their signals"],
  ["openFailed", "an opening failed", "openings failed"],
] as const;

function isEmpty(stats: PoolStats | undefined): boolean {
  return stats === undefined || (stats.total === 0 && stats.waiting === 0 && stats.detached === 0);
}

function nameOfRecord(record: ConnectionRecord<any>, name: (connection: unknown, record: object) => string): string {
  try {
    return name(record.connection, record);
  } catch {
    // In Workers it may belong to another request.
    return "a connection";
  }
}

/** Words an error, which may be anything. */
function because(error: unknown): string {
  if (error === undefined) return "";
  try {
    return `: ${error instanceof Error ? error.message : String(error)}`;
  } catch {
    return ": an error that cannot be shown";
  }
}
