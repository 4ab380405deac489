// One server under callers and kills. Each step has random numbers of its own, by the seed: the order in which things
// happen is the machine's. What must hold is checked at each checkout, and whenever all callers pause.

import { setTimeout as sleep } from "node:timers/promises";
import { QueuePool } from "edgepool";
import { mix, Random } from "../programs/random.mjs";
import { accounts, ends, kills, works } from "./callers.mjs";

/** Callers at a time, in turn: more than the connections, so that they queue, or fewer, so that some are idle. */
export const crowds = [24, 6];
export const sizes = { poolSize: 8, maxOverflow: 2 };

/** How long anything may take that must come to an end. */
const patienceMs = 10_000;

/** The pools, one after the other. */
export const pools = {
  "the usual one": {},
  "with prePing and min": { prePing: true, min: 8 },
  "with session resets": { resetOnReturn: "session" },
  "with a deadline, openRetry, maxUses, min and LIFO": {
    deadline: "10s",
    openRetry: true,
    maxUses: 50,
    min: 8,
    useLifo: true,
  },
};

/** Something that must never happen did. */
export class Broken extends Error {}

export class Soak {
  /** By name: what happened, and how often. */
  tally = { checkouts: 0, kills: {}, works: {}, refused: {}, errors: {}, opened: 0, logged: {} };
  step = 0;
  #server;
  #seed;
  #pool;
  #broken;
  /** The sessions of idle and of lent connections. */
  #idle = new Set();
  #killsOnOpening = 0;
  /** Kills that no caller awaits. */
  #pending = new Set();
  #killed = 0;

  constructor(server, seed) {
    this.#server = server;
    this.#seed = seed;
  }

  /** Runs so many checkouts and kills, over all pools. Throws a {@link Broken} if anything must not be. */
  async run({ checkouts, kills: wanted, pauses, onPause }) {
    const fail = (error) => this.#fail(`an error got past everybody: ${error?.stack ?? error}`);
    process.on("uncaughtException", fail).on("unhandledRejection", fail);
    try {
      const names = Object.keys(pools);
      for (const [number, name] of names.entries()) {
        const share = (whole) => Math.ceil((whole * (number + 1)) / names.length);
        await this.#runPool(name, share(checkouts), share(wanted), pauses, onPause);
      }
    } finally {
      process.off("uncaughtException", fail).off("unhandledRejection", fail);
    }
    return this.tally;
  }

  async #runPool(name, checkouts, wanted, pauses, onPause) {
    const logger = {
      debug() {},
      info() {},
      warn: (message) => this.#count("logged", message),
      error: (message) => this.#count("logged", message),
    };
    const server = this.#server;
    const pool = new QueuePool(() => this.#open(), {
      ...sizes,
      dialect: server.dialect,
      loggingName: name,
      logger,
      timeout: "30s",
      ...pools[name],
    });
    this.#pool = pool;
    pool.on("close", (connection) => void this.#idle.delete(server.idOf(connection)));
    const first = this.tally.checkouts;
    for (let pause = 1; pause <= pauses; pause++) {
      const goal = first + Math.ceil(((checkouts - first) * pause) / pauses);
      const isLast = pause === pauses;
      const isOver = () => this.tally.checkouts >= goal && (!isLast || this.#killed >= wanted);
      await Promise.all(
        Array.from({ length: crowds[pause % crowds.length] }, async () => {
          while (!isOver() && this.#broken === undefined) await this.#call(wanted, checkouts);
        }),
      );
      if (this.#broken !== undefined) throw this.#broken;
      await this.#pause();
      onPause?.(this.tally.checkouts, this.#killed);
    }
    this.tally.opened += pool.stats().opened;
    await pool.close();
    await this.#until(async () => (await server.sessions()) === 0, "sessions are left after the pool's close");
    this.#idle.clear();
  }

  /** The creator. */
  async #open() {
    const connection = await this.#server.open();
    const id = this.#server.idOf(connection);
    this.#idle.add(id);
    if (this.#killsOnOpening > 0) {
      this.#killsOnOpening--;
      void this.#kill(id, "once it is open");
    }
    return connection;
  }

  /** What one caller does, from its checkout to its return. */
  async #call(wanted, checkouts) {
    const step = ++this.step;
    const random = new Random(mix(this.#seed, step));
    const remaining = Math.max(1, checkouts - this.tally.checkouts);
    // Every tenth, but never too few by the end.
    const kill = random.chance(Math.max(0.1, (wanted - this.#killed) / remaining))
      ? random.weighted(Object.entries(kills).map(([name, [weight]]) => [weight, name]))
      : undefined;
    if (this.#killed < wanted && kill === "idle") await this.#killIdle(random);
    const work =
      this.#killed < wanted && kill !== undefined && kills[kill][1] !== undefined
        ? { name: kill, act: kills[kill][1], isKill: true }
        : named(random, works);
    const end = kill === "once it is open" ? { name: "invalidates", act: ends.invalidates[1] } : named(random, ends);
    if (kill === "once it is open" && this.#killed < wanted) this.#killsOnOpening++;
    try {
      await this.#lease(step, random, work, end);
    } catch (error) {
      this.#judge(step, work, error);
    }
  }

  async #lease(step, random, work, end) {
    const options = this.#optionsOf(random);
    let lease;
    try {
      lease = await this.#pool.connect(options);
    } catch (error) {
      if (options.signal?.aborted && error === options.signal.reason) return this.#count("refused", "aborted");
      if (options.timeout !== undefined && error.code === "ERR_POOL_TIMEOUT")
        return this.#count("refused", "timed out");
      throw error;
    }
    this.tally.checkouts++;
    const { connection } = lease;
    const id = this.#server.idOf(connection);
    this.#idle.delete(id);
    let failure;
    try {
      await this.#assertClean(step, connection);
      this.#count("works", work.isKill ? `is killed ${work.name}` : work.name);
      await work.act(this.#tools(step, work.name), connection, random);
    } catch (error) {
      failure = error;
    }
    // The pool may have seen the loss of the connection first.
    if (lease.isValid) await end.act(lease);
    if (end.name !== "returns") this.#count("works", end.name);
    else this.#idle.add(id);
    // Half of the callers say why they return it.
    await lease.close(failure !== undefined && random.chance(0.5) ? { error: failure } : undefined);
    if (failure !== undefined) throw failure;
    const { total, max } = this.#pool.stats();
    if (total > max) this.#fail(`${total} connections of at most ${max}`, step);
  }

  #optionsOf(random) {
    const kind = random.below(20);
    if (kind === 0) return { timeout: "1ms" };
    if (kind === 1) return { signal: AbortSignal.timeout(random.below(4)) };
    return {};
  }

  /** What a caller finds is never another caller's transaction. */
  async #assertClean(step, connection) {
    try {
      if (await this.#server.isOpen(connection)) this.#fail("a caller is in a transaction of the one before", step);
    } catch (error) {
      if (this.#server.isInTransaction(error)) this.#fail("a caller is in a failed transaction", step);
      throw error;
    }
  }

  #tools(step, name) {
    const { query, idOf } = this.#server;
    return {
      server: this.#server,
      step,
      query,
      idOf,
      kill: (connection) => this.#kill(idOf(connection), name),
    };
  }

  /** One that is lent, or lost, by the time of the kill is not counted as idle. */
  async #killIdle(random) {
    while (this.#idle.size > 0) {
      const id = random.pick([...this.#idle]);
      if (await this.#kill(id, "idle")) return;
    }
  }

  /** Counts the kill if the server knew the session, and returns whether it did. */
  #kill(id, name) {
    this.#idle.delete(id);
    const kill = this.#server.kill(id).then((isKilled) => {
      if (isKilled) this.#killed++;
      if (isKilled) this.#count("kills", name);
      return isKilled;
    });
    this.#pending.add(kill);
    return kill.finally(() => this.#pending.delete(kill));
  }

  /** An error of a caller: those of a kill, and those that its work asked for. */
  #judge(step, work, error) {
    const { isLoss, isTimeout, isCancel, isFailure } = this.#server;
    const name =
      error.code === "ERR_POOL_DISCONNECTION"
        ? "the pool found no live connection"
        : isTimeout(error)
          ? "the driver's time-out"
          : isCancel(error)
            ? "the statement was cancelled"
            : isFailure(error)
              ? "the statement was refused"
              : isLoss(error)
                ? "the connection was lost"
                : undefined;
    if (name === undefined) this.#fail(`a caller that ${work.name} got ${error.stack}`, step);
    else this.#count("errors", name);
  }

  /** All callers have returned. */
  async #pause() {
    const pool = this.#pool;
    const server = this.#server;
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
    const { max } = pool.stats();
    await this.#until(() => {
      const { used, opening, closing, waiting, detached } = pool.stats();
      return used + opening + closing + waiting + detached === 0;
    }, "the pool does not come to rest");
    const leases = await Promise.allSettled(
      Array.from({ length: max }, () => pool.connect({ timeout: patienceMs / 1000 })),
    );
    const lost = leases.filter(({ status }) => status === "rejected");
    if (lost.length > 0) throw this.#error(`${lost.length} slots are lost: ${lost[0].reason?.stack}`);
    const ids = new Set();
    for (const { value: lease } of leases) {
      ids.add(server.idOf(lease.connection));
      // One that was killed a moment ago.
      await this.#assertClean(this.step, lease.connection).catch((error) =>
        this.#judge(this.step, { name: "pauses" }, error),
      );
      await lease.close();
    }
    if (ids.size !== max) throw this.#error(`${max} leases have ${ids.size} connections`);
    await this.#until(async () => (await server.sessions()) === pool.stats().total, "the server has other sessions");
    await this.#until(async () => (await server.inTransaction()) === 0, "a transaction is open at rest");
    const [{ sum }] = await server.ask("SELECT SUM(balance) AS sum FROM accounts");
    const [{ leaks }] = await server.ask("SELECT COUNT(*) AS leaks FROM leaks");
    if (Number(leaks) > 0) throw this.#error(`${leaks} transactions were committed by another caller`);
    if (Number(sum) !== accounts.count * accounts.balance) throw this.#error(`the accounts have ${sum}`);
    if (this.#broken !== undefined) throw this.#broken;
    this.#idle = ids;
  }

  async #until(condition, what) {
    const end = Date.now() + patienceMs;
    while (!(await condition())) {
      if (this.#broken !== undefined) throw this.#broken;
      if (Date.now() > end) throw this.#error(`${what}: ${JSON.stringify(this.#pool.stats())}`);
      await sleep(5);
    }
  }

  #count(kind, name) {
    this.tally[kind][name] = (this.tally[kind][name] ?? 0) + 1;
  }

  #error(what, step = this.step) {
    return new Broken(
      `${this.#server.name}, seed ${this.#seed}, step ${step}, the pool ${this.#pool.loggingName}: ${what}`,
    );
  }

  /** The first one is reported: what follows may come of it. */
  #fail(what, step) {
    this.#broken ??= this.#error(what, step);
  }
}

function named(random, table) {
  const name = random.weighted(Object.entries(table).map(([name, [weight]]) => [weight, name]));
  return { name, act: table[name][1] };
}
