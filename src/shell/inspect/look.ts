/**
 * Reads one pool for a picture, without a listener and without a change: its numbers, its limits, and the slots that
 * can be seen from here. In Workers those of other requests cannot; they are in the numbers alone.
 */

import type { Scope } from "../engine/scope.js";
import { PoolCrashedError } from "../errors.js";
import { isObject } from "../host.js";
import type { Pool } from "../pool.js";
import { kinds } from "../protocol.js";
import type { PoolStats } from "../stats.js";

/** A slot with a connection, or with one that is being opened. */
export interface SeenSlot {
  /** Names the connection, from 1 on in the order in which they were seen; 0 while it is being opened. */
  readonly id: number;
  /** The slot among those that were seen. */
  readonly place: number;
  readonly state: "used" | "idle" | "opening" | "dead";
  /** For how many milliseconds its lease has been out, at least; known of the longest. */
  readonly ms?: number;
  /** Where it was checked out, if the pool keeps stacks. */
  readonly stack?: string;
  /** When it was opened, in milliseconds since the epoch. */
  readonly openedAt?: number;
}

/** What a picture shows of one pool. No limit is null, as in JSON. */
export interface SeenPool {
  /** Tells a pool from one of the same name. */
  readonly id: number;
  readonly name: string;
  readonly kind: string;
  readonly isClosed: boolean;
  /** Why there are no numbers. */
  readonly crash?: string;
  readonly stats?: PoolStats;
  /** The connections that it keeps open; null without a limit. */
  readonly kept?: number | null;
  /** The longest wait that the pool's options allow. */
  readonly patienceMs?: number | null;
  readonly lifo?: boolean;
  readonly holdLimitMs?: number | null;
  readonly slots?: readonly SeenSlot[];
  /** For how long the oldest lease has been out, at least. */
  readonly oldestLeaseMs?: number | null;
  /** For how long the first waiter has waited, at least. */
  readonly longestWaitMs?: number | null;
  /** The waiters, in order: how many came at a moment. */
  readonly waiters?: ReadonlyArray<readonly [count: number, at: number]>;
}

const longestStack = 4000;
const longestName = 200;

const ids = new WeakMap<object, number>();
let poolsSeen = 0;

export function clip(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)} …` : text;
}

const orNull = (value: number): number | null => (value === Infinity ? null : value);

/** Names the connections of one pool. */
export class Names {
  readonly #ids = new WeakMap<object, number>();
  #last = 0;

  /** `slot`: stands for a connection that is no object. */
  of(connection: unknown, slot: object): number {
    const key = isObject(connection) ? connection : slot;
    let id = this.#ids.get(key);
    if (id === undefined) this.#ids.set(key, (id = ++this.#last));
    return id;
  }
}

/** Reads a pool. One that has crashed is shown as such. */
export function look(pool: Pool<any>, names: Names): SeenPool {
  let id = ids.get(pool);
  if (id === undefined) ids.set(pool, (id = ++poolsSeen));
  const { options } = pool.first;
  const known = {
    id,
    name: clip(pool.loggingName, longestName),
    kind: (kinds[options.kind] as (typeof kinds)[number]).name,
    isClosed: pool.closed,
  };
  try {
    const stats = statsOf(pool);
    const [scope] = pool.withinReach() as [Scope<any>];
    const { size } = scope.counts();
    return {
      ...known,
      stats: { ...stats, max: orNull(stats.max) as number },
      kept: known.kind === "QueuePool" && size > 0 ? size : orNull(stats.max),
      patienceMs: orNull(Math.min(options.timeout, options.deadline)),
      lifo: options.useLifo === 1,
      holdLimitMs: orNull(options.holdLimit),
      ...slotsOf(pool, names),
    };
  } catch (error) {
    if (!(error instanceof PoolCrashedError)) throw error;
    return { ...known, crash: clip(error.message, 500) };
  }
}

/** The numbers of all scopes. The program's function `scope` may throw: it may have no key for this request. */
function statsOf(pool: Pool<any>): PoolStats {
  try {
    return pool.stats({ scope: "all" });
  } catch (error) {
    if (error instanceof PoolCrashedError) throw error;
    return pool.first.statsEverywhere(-1);
  }
}

function slotsOf(pool: Pool<any>, names: Names): Pick<SeenPool, "slots" | "oldestLeaseMs" | "longestWaitMs"> {
  const slots: SeenSlot[] = [];
  let oldestLeaseMs: number | null = null;
  let longestWaitMs: number | null = null;
  let before = 0;
  for (const scope of pool.withinReach()) {
    const seen = scope.look();
    if (seen.waitingMs >= 0) longestWaitMs = Math.max(longestWaitMs ?? 0, seen.waitingMs);
    const heldMs = new Map(seen.held.map(({ index, ms }) => [index, ms]));
    for (const slot of seen.slots) {
      const { held } = slot ?? {};
      if (slot === undefined) continue;
      const place = before + slot.index;
      if (held === undefined) {
        if (slot.opening !== undefined) slots.push({ id: 0, place, state: "opening" });
        continue;
      }
      const ms = heldMs.get(slot.index);
      const isUsed = slot.inUse;
      if (isUsed && ms !== undefined) oldestLeaseMs = Math.max(oldestLeaseMs ?? 0, ms);
      slots.push({
        id: names.of(held.connection, slot),
        place,
        state: held.isDead ? "dead" : isUsed ? "used" : "idle",
        ...(isUsed && ms !== undefined ? { ms } : {}),
        ...(isUsed && held.stack !== undefined ? { stack: clip(held.stack, longestStack) } : {}),
        openedAt: slot.lastConnectTime,
      });
    }
    before += seen.slots.length;
  }
  return { slots, oldestLeaseMs, longestWaitMs };
}
