// @ts-check
// Runs one program against a pool: makes the pool, its connections and its listeners, performs the acts, and compares
// what happens with the model.

import { AsyncLocalStorage } from "node:async_hooks";
import { answer } from "./answers.mjs";
import { VirtualClock } from "./clock.mjs";
import { Caller, describe, millis, Model, Scope } from "./model.mjs";
import { Decisions } from "./program.mjs";
import { mix, Random } from "./random.mjs";
import { edgepool } from "./subject.mjs";

/** @typedef {import("./program.mjs").Act} Act */
/** @typedef {import("./model.mjs").Connection} Connection */
/** @typedef {{ connection?: Connection | undefined, record?: any, lease?: any }} Shown What a callback was given. */

/** The caller that a callback serves: pools keep the async context of their callers. */
const context = /** @type {AsyncLocalStorage<Caller | { scope: Scope } | undefined>} */ (new AsyncLocalStorage());

/** What programs do, and what is judged. */
export const settings = {
  /** Callers that lose the connection that they were about to share keep their order. */
  sharersKeepTheirOrder: true,
  /** A record that is closed or invalidated within onDisconnect(), or within the log of an opening, is empty. */
  recordEndsWhileAdopted: true,
  /** stats() in a scope without a caller yet has zeros. */
  newScopeHasZeros: true,
};

const deepest = 4;
const mostActs = 150;
const mostCreators = 500;

const connectTimes = [0, "30ms", "500ms", "5s", null];
const passes = [1, 5, 40, 250, 1_000, 4_000, 15_000, 61_000];
const freezes = [100, 5_000, 40_000, 3_600_000];

/** The runs under way, for what the process says of errors that belong to none. */
let current = /** @type {Run | undefined} */ (undefined);

/** Notes an unhandled rejection as a failure of the program that runs. */
export function onUnhandledRejection(/** @type {unknown} */ error) {
  current?.model.fail("no rejection is unhandled", describe(error));
}

export class Run {
  #program;
  #decisions;
  #clock = new VirtualClock();
  #activity = 0;
  #depth = 0;
  #actsLeft = mostActs;
  #isCalm = false;
  #isChecking = false;
  /** Callbacks that have not answered. */
  #pending = 0;
  #errorCount = 0;
  /** @type {Set<(isGood: boolean) => void>} */
  #hanging = new Set();
  /** @type {Map<object, Connection>} */
  #byObject = new Map();
  /** @type {any[]} */
  #endedLeases = [];
  /** The connection whose death is being reported. @type {{ connection: Connection, error: Error } | undefined} */
  #dying = undefined;
  /** @type {{ what: string }[]} */
  #promises = [];
  /** @type {[string, (...given: any[]) => unknown][]} */
  #listening = [];
  #listenerCount = 0;
  #keys = [undefined, {}, {}];
  #key = 0;
  /** @type {Scope[]} */
  #scopes = [0, 1, 2].map((key) => new Scope(key));
  /** @type {Caller[]} */
  #abortable = [];
  /** Whether the pool takes a new connection over: it calls onDisconnect(), or logs. */
  #isAdopting = false;
  /** @type {any} */
  #pool;
  /** @type {string[] | undefined} */
  lines;

  constructor(
    /** @type {import("./program.mjs").Program} */ program,
    /** @type {ReadonlySet<string>} */ muted = new Set(),
    isTraced = false,
  ) {
    this.#program = program;
    this.#decisions = new Decisions(program, muted);
    this.model = new Model(program, this.#clock, edgepool);
    this.model.judgesOrderOfSharers = settings.sharersKeepTheirOrder;
    this.#clock.lost = (ms) => this.model.lose(ms);
    if (isTraced) this.lines = [];
  }

  /** What callbacks did: their acts, and the answers that did not come at once. */
  get made() {
    return this.#decisions.made;
  }

  #say(/** @type {string} */ line) {
    this.lines?.push(`${String(this.#clock.elapsed).padStart(7)} ${"  ".repeat(this.#depth)}${line}`);
  }

  /** Runs the program to its end, and answers the first rule that it broke. */
  async go() {
    current = this;
    const { random } = Math;
    const { stackTraceLimit } = Error;
    // Stacks of errors that are expected cost a tenth of the time.
    if (this.lines === undefined) Error.stackTraceLimit = 0;
    const seeded = new Random(mix(this.#program.seed, 2));
    // The pool takes its jitter from there.
    Math.random = () => seeded.fraction();
    try {
      this.#makePool();
      for (const act of this.#program.acts) {
        if (this.model.failure !== undefined) break;
        if (act.do === "pass") {
          const ms = passes[Math.floor(act.a * passes.length)];
          this.#say(`${ms} ms pass`);
          await this.#pass(ms);
          continue;
        }
        this.#perform(act, {});
        if (act.pause === undefined) await this.#quieten();
        else for (let turn = 0; turn < act.pause; turn++) await null;
      }
      if (this.model.failure === undefined) await this.#finish();
    } catch (error) {
      this.model.fail("the pool throws no error of its own", describe(error) + /** @type {any} */ (error)?.stack);
    } finally {
      this.#isCalm = true;
      // A pool that stays open would slow down all that come after it.
      if (this.model.failure !== undefined) this.#pool?.close({ timeout: 0 }).catch(() => {});
      await new Promise((resolve) => setImmediate(resolve));
      Math.random = random;
      Error.stackTraceLimit = stackTraceLimit;
      current = undefined;
    }
    return this.model.failure;
  }

  // ---- the pool

  #makePool() {
    const { kind, options, isScoped, dialect, listeners } = this.#program;
    /** @type {Record<string, any>} */
    const given = { ...options, clock: this.#clock.forPool, logger: this.#logger(), loggingName: "shop" };
    if (isScoped) given.scope = () => this.#scopeKey();
    if (dialect.length > 0) given.dialect = this.#dialect(dialect);
    const Kind = /** @type {any} */ (edgepool)[kind];
    const isOption = this.#program.seed % 2 === 0;
    const pairs = listeners.map(([event]) => [this.#listener(event), event]);
    if (isOption && pairs.length > 0) given.events = pairs;
    this.#say(
      `new ${kind}(${JSON.stringify(options)}), dialect ${dialect.join(" ") || "none"}${isScoped ? ", scoped" : ""}`,
    );
    if (pairs.length > 0) this.#say(`listens to ${pairs.map(([, event]) => event).join(" ")}`);
    this.#pool = new Kind((/** @type {any} */ record) => this.#create(record), given);
    if (this.model.fills && !isScoped) this.model.asked({ scope: this.#scopes[0] });
    if (!isOption) for (const [listener, event] of pairs) this.#pool.on(event, listener);
  }

  /** The option `scope`: the key in which the program asks. */
  #scopeKey() {
    const key = this.#keys[this.#key];
    if (this.#isChecking) return key;
    const store = context.getStore();
    const hasActed = this.#interrupt("scope", {}, 0.2);
    if (store instanceof Caller && !store.isSettled && hasActed) this.model.askAgain(store, this.#scopes[this.#key]);
    else if (store !== undefined && hasActed) store.scope = this.#scopes[this.#key];
    // The scope in which warm() was called may have ended since: then another one begins.
    if (store !== undefined && !(store instanceof Caller)) this.model.asked(store);
    return key;
  }

  #logger() {
    /** @type {Record<string, any>} */
    const logger = {};
    for (const level of ["debug", "info", "warn", "error"])
      logger[level] = (/** @type {string} */ message, /** @type {unknown} */ error) => {
        this.#stir();
        if (level === "error") this.#checkError(message, error);
        const isAdopting = message.includes("created a connection") || message.includes("the connection is new");
        this.#whileAdopting(isAdopting, () => this.#interrupt(`log ${level}`, {}, 0.4));
      };
    return logger;
  }

  /** Fails if the pool reports an error that no callback has given it. */
  #checkError(/** @type {string} */ message, /** @type {any} */ error) {
    const isOwn = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
    const isLost = /which no caller waits for|a caller that does not wait/.test(message);
    if (isLost || message.includes("nothing may throw") || (isOwn && !this.model.errors.has(error)))
      this.model.fail("the pool throws no error of its own", `${message}: ${error?.stack ?? describe(error)}`);
  }

  #dialect(/** @type {string[]} */ members) {
    /** @type {Record<string, any>} */
    const all = {
      name: "scripted",
      doRollback: (/** @type {any} */ object) => this.#reset("rollback", object),
      doCommit: (/** @type {any} */ object) => this.#reset("commit", object),
      doClose: (/** @type {any} */ object) => this.#end("close", object),
      doTerminate: (/** @type {any} */ object) => this.#end("terminate", object),
      doPing: (/** @type {any} */ object) => this.#ping(object),
      isDisconnect: (/** @type {any} */ error) => {
        const dying = this.#dying?.error === error ? this.#dying?.connection : undefined;
        this.#interrupt("isDisconnect", {}, 0.3);
        // Its lease may have come back since, or may have been detached.
        if (dying !== undefined && !dying.isDetached) this.model.empty(dying);
        return error?.isDead === true;
      },
      inTransaction: (/** @type {any} */ object) => {
        const connection = this.#connectionOf(object);
        this.#interrupt("inTransaction", { connection }, 0.3);
        const isOpen = connection.token % 3 !== 0;
        if (!isOpen) connection.wantsReset = false;
        return isOpen;
      },
      onDisconnect: (/** @type {any} */ object, /** @type {(error: unknown) => void} */ died) => {
        const connection = this.#connectionOf(object);
        connection.died = died;
        this.#whileAdopting(true, () => this.#interrupt("onDisconnect", { connection }, 0.3));
        return () => {
          connection.died = undefined;
          this.#interrupt("unwatch", { connection }, 0.3);
        };
      },
    };
    return Object.fromEntries(["name", ...members].map((member) => [member, all[member]]));
  }

  #whileAdopting(/** @type {boolean} */ isAdopting, /** @type {() => unknown} */ run) {
    const before = this.#isAdopting;
    this.#isAdopting ||= isAdopting;
    run();
    this.#isAdopting = before;
  }

  #connectionOf(/** @type {any} */ object) {
    const connection = this.#byObject.get(object);
    if (connection === undefined) throw new Error(`${String(object)} is no connection of the program`);
    return connection;
  }

  // ---- callbacks

  #stir() {
    this.#activity++;
  }

  /** A callback whose answer the pool does not await: performs its acts, and answers whether there were any. */
  #interrupt(/** @type {string} */ place, /** @type {Shown} */ shown, /** @type {number} */ probability) {
    if (this.#isCalm) return false;
    const { acts } = this.#decisions.take(place, probability);
    if (acts.length === 0) return false;
    this.#say(`${place} calls the pool`);
    this.#performWithin(acts, shown);
    return true;
  }

  /** A callback with an answer. */
  #call(
    /** @type {string} */ place,
    /** @type {Shown} */ shown,
    /** @type {(decision: import("./program.mjs").Decision) => unknown} */ value,
    failed = (/** @type {unknown} */ _error) => {},
    error = this.#error,
  ) {
    this.#stir();
    this.#pending++;
    const decision = this.#isCalm ? calm : this.#decisions.take(place);
    if (this.lines !== undefined) {
      const name = shown.connection === undefined ? "" : ` of ${shown.connection.name}`;
      const store = context.getStore();
      const caller = store instanceof Caller ? ` for ${store.name}` : "";
      this.#say(
        `${place}${name}${caller} answers ${decision.answer}${decision.acts.length > 0 ? ", and calls the pool" : ""}`,
      );
    }
    this.#performWithin(decision.acts, shown);
    let isAnswered = false;
    const answered = () => {
      if (!isAnswered) this.#pending--;
      isAnswered = true;
    };
    const reason = error.call(this, place, decision);
    this.model.errors.add(reason);
    return answer(decision, this.#host, {
      value: () => {
        answered();
        return value(decision);
      },
      failed: (thrown) => {
        answered();
        failed(thrown);
      },
      error: reason,
    });
  }

  /** @type {import("./answers.mjs").Host} */
  #host = {
    clock: this.#clock,
    stir: () => this.#stir(),
    hang: (settle) => void this.#hanging.add(settle),
    reenter: () => this.#interrupt("then", {}, 2),
  };

  /** What a callback throws: mostly an error, sometimes no object at all. */
  #error(/** @type {string} */ place, /** @type {import("./program.mjs").Decision} */ { number, answer: how }) {
    if (how === "at once" || how === "soon") return undefined;
    if (number % 9 === 0) return undefined;
    if (number % 9 === 1) return "no reason";
    const error = new Error(`${place} fails, ${++this.#errorCount}`);
    return number % 9 < 4 ? Object.assign(error, { isDead: true }) : error;
  }

  #checkoutError(/** @type {string} */ place, /** @type {import("./program.mjs").Decision} */ decision) {
    if (decision.number % 3 > 0) return this.#error(place, decision);
    return new edgepool.DisconnectionError(`${place} refuses`, { invalidatePool: decision.number % 2 === 0 });
  }

  #create(/** @type {any} */ record) {
    const { model } = this;
    const store = context.getStore();
    // What the pool opens by itself runs in the context of whichever call it comes from.
    const isCallers = store instanceof Caller && !model.isOpening(store) && !model.fills;
    const caller = isCallers ? store : undefined;
    const isOutside = this.#program.isScoped;
    const scope = isOutside ? this.#scopes[this.#keys.indexOf(record.scope)] : this.#scopes[0];
    // With a scope function creators run outside of their callers: any of the scope may have begun to open.
    if (isOutside || model.fills)
      for (const other of model.waiting) if (other.scope === scope) other.mayHaveStarted = true;
    const opening = model.open(scope, caller);
    if (caller !== undefined) model.start(caller, "creator");
    if (model.creatorCalls > mostCreators) model.fail("the pool does not open without end", `${mostCreators} openings`);
    if (model.failure !== undefined) {
      model.openingFailed(opening);
      throw new Error("the program has failed");
    }
    return this.#call(
      "creator",
      { record },
      ({ number }) => {
        if (number % 97 === 1) {
          model.openingFailed(opening);
          model.hasAnsweredNothing = true;
          return number % 2 === 0 ? null : undefined;
        }
        const connection = model.opened(opening);
        const object = this.#program.dialect.length > 0 ? { id: connection.id } : this.#driverConnection(connection.id);
        connection.record = record;
        connection.wantsReset = false;
        this.#byObject.set(object, connection);
        this.#say(`${connection.name} is open`);
        return object;
      },
      () => model.openingFailed(opening),
    );
  }

  /** A connection that offers its own calls, for pools without a dialect. */
  #driverConnection(/** @type {number} */ id) {
    const object = {
      id,
      rollback: () => this.#reset("rollback", object),
      commit: () => this.#reset("commit", object),
      close: () => this.#end("close", object),
      terminate: () => this.#end("terminate", object),
    };
    return object;
  }

  #reset(/** @type {string} */ place, /** @type {any} */ object) {
    const connection = this.#connectionOf(object);
    this.#mayStart();
    this.model.reset(connection);
    connection.isBeingReset = true;
    const answered = () => void (connection.isBeingReset = false);
    return this.#call(place, { connection, record: connection.record }, answered, answered);
  }

  #end(/** @type {string} */ place, /** @type {any} */ object) {
    const connection = this.#connectionOf(object);
    const caller = this.#mayStart();
    const isWithoutTerminate = this.#program.dialect.length > 0 && !this.#program.dialect.includes("doTerminate");
    this.model.end(connection, place === "close" && !isWithoutTerminate, caller);
    const ended = () => void (connection.isOpen = false);
    return this.#call(place, { connection, record: connection.record }, ended, ended);
  }

  /** A stale connection is ended in the context of the caller that replaces it. */
  #mayStart() {
    const store = context.getStore();
    if (!(store instanceof Caller)) return undefined;
    store.mayHaveStarted = true;
    return store;
  }

  #ping(/** @type {any} */ object) {
    const { model } = this;
    const connection = this.#connectionOf(object);
    const store = context.getStore();
    model.check(connection, store instanceof Caller ? store : undefined, true);
    model.mayDisconnect = true;
    const isAlive = (/** @type {number} */ number) => number % 8 !== 1;
    connection.isBeingPinged = true;
    const doubt = () => {
      connection.isBeingPinged = false;
      model.doubt();
    };
    return this.#call(
      "ping",
      { connection, record: connection.record },
      ({ number, answer: how }) => {
        connection.isBeingPinged = false;
        if (how !== "at once" || !isAlive(number)) doubt();
        return isAlive(number) ? (number % 2 === 0 ? true : undefined) : false;
      },
      doubt,
    );
  }

  #listener(/** @type {string} */ event) {
    const name = `on ${event} ${++this.#listenerCount}`;
    const listener = (/** @type {any[]} */ ...given) => this.#listen(name, event, given);
    this.#listening.push([event, listener]);
    return listener;
  }

  #listen(/** @type {string} */ name, /** @type {string} */ event, /** @type {any[]} */ [first, second, third]) {
    if (event === "error") {
      this.#checkError("error event", first);
      return this.#call(name, {}, () => undefined);
    }
    const connection = first === null ? undefined : this.#connectionOf(first);
    const shown = { connection, record: second, lease: event === "checkout" ? third : undefined };
    const store = context.getStore();
    const caller = store instanceof Caller ? store : undefined;
    if (connection !== undefined) this.#checkEvent(event, connection);
    if (event === "connect" || event === "firstConnect" || event === "checkout") {
      if (event === "checkout" && connection !== undefined) this.model.check(connection, caller, false);
      else if (caller !== undefined && !this.model.fills) this.model.start(caller, event, connection);
      const refused = () => {
        this.model.mayDisconnect = true;
        this.model.doubt();
        if (event !== "checkout") this.model.failed(connection?.scope);
        // Those that share it lose it.
        else if (this.model.isShared && connection !== undefined) connection.isCondemned = true;
      };
      // The caller may have the connection from then on, and others may share it.
      const passed = () => void (connection !== undefined && (connection.movedIn = this.model.turn));
      return this.#call(name, shown, passed, refused, event === "checkout" ? this.#checkoutError : this.#error);
    }
    this.#mayStart();
    if (connection !== undefined && (event === "close" || event === "invalidate")) {
      connection.mayBeStale = true;
      connection.hasLeft = true;
    }
    return this.#call(name, shown, () => undefined);
  }

  #checkEvent(/** @type {string} */ event, /** @type {Connection} */ connection) {
    const wrong = (/** @type {string} */ what) =>
      this.model.fail("events come in their order", `${event} of ${connection.name}, ${what}`);
    const { ends, isEmptied, isDetached } = connection;
    if ((event === "connect" || event === "firstConnect") && ends > 0 && !isEmptied) wrong("which was closed");
    if (event === "reset" && ends > 0 && !isEmptied && !this.model.isShared) wrong("which was closed");
    if ((event === "close" || event === "invalidate") && (ends > 0 || (isDetached && !this.model.isShared)))
      wrong("which was ended or detached");
    if (event === "closeDetached" && (ends > 0 || (!isDetached && !this.model.isShared)))
      wrong("which was ended, or is not detached");
  }

  // ---- acts

  #performWithin(/** @type {Act[]} */ acts, /** @type {Shown} */ shown) {
    if (acts.length === 0 || this.#depth >= deepest || this.model.failure !== undefined) return;
    const key = this.#key;
    this.#depth++;
    context.run(undefined, () => {
      for (const act of acts) if (this.#actsLeft-- > 0) this.#perform(act, shown);
    });
    this.#depth--;
    this.#key = key;
  }

  #perform(/** @type {Act} */ act, /** @type {Shown} */ shown) {
    this.#stir();
    const { a, b, c } = act;
    const { model } = this;
    const pool = this.#pool;
    const held = model.held[Math.floor(a * model.held.length)];
    const any = model.connections[Math.floor(a * model.connections.length)];
    switch (act.do) {
      case "connect":
        return this.#connect(act);
      case "use":
        return this.#use(act);
      case "close":
        return held && this.#close(held, b < 0.1 ? { transactionWasReset: true } : undefined);
      case "invalidate":
        return held && this.#invalidate(held, {});
      case "invalidate pool":
        return held && this.#invalidate(held, { pool: true, soft: b < 0.5 });
      case "invalidate softly":
        return held && this.#invalidate(held, { soft: true });
      case "detach":
        return held && this.#detach(held);
      case "record.close":
      case "record.invalidate":
      case "record.invalidate softly":
        return any && this.#endRecord(any.record, act.do);
      case "close the record":
        return this.#endRecord(shown.record, b < 0.5 ? "record.close" : "record.invalidate");
      case "end the shown lease":
        return this.#endShown(shown.lease, b);
      case "finalize":
        if (!(held?.lease.record?.connection ?? false)) return;
        this.#say(`${held.connection.name}: a finalizer`);
        return held.lease.record.finalize(() => this.#call("finalizer", {}, () => undefined));
      case "dispose":
        this.#say("dispose()");
        return this.#dispose();
      case "invalidateAll":
        this.#say("invalidateAll()");
        model.mark("staleIn");
        return pool.invalidateAll();
      case "warm":
        return this.#program.kind === "QueuePool" ? this.#warm(act) : undefined;
      case "endScope":
        return this.#endScope(a < 0.5 ? 1 : 2);
      case "on": {
        const [event] = /** @type {[string]} */ ([eventNames[Math.floor(a * eventNames.length)]]);
        this.#say(`on ${event}`);
        return pool.on(event, this.#listener(event), { once: b < 0.3, insert: c < 0.2 });
      }
      case "off": {
        const one = this.#listening[Math.floor(a * this.#listening.length)];
        if (one !== undefined) this.#say(`off ${one[0]}`);
        return one && pool.off(...one);
      }
      case "abort":
        return this.#abort(a);
      case "pool.close":
        return this.#closePool(/** @type {any} */ ([undefined, 0, "1s", "20s"])[Math.floor(a * 4)]);
      case "drain":
        return this.#closePool(/** @type {any} */ ([undefined, 0, "1s", "20s"])[Math.floor(a * 4)], true);
      case "resize":
        return this.#resize(act);
      case "freeze":
        return this.#freeze(freezes[Math.floor(a * freezes.length)], b);
      case "answer": {
        const settle = [...this.#hanging][Math.floor(a * this.#hanging.size)];
        if (settle === undefined) return;
        this.#hanging.delete(settle);
        this.#say("a call that hangs is answered");
        return settle(b < 0.7);
      }
      case "die":
        return any && this.#die(any);
      case "stats":
        this.#key = this.#program.isScoped ? Math.floor(a * 3) : 0;
        return void [pool.stats(), pool.stats({ scope: "all" }), pool.status(), pool.closed, any?.record.inUse];
      case "echo":
        return void (pool.echo = a < 0.4 ? null : a < 0.6 ? true : "debug");
      case "close again": {
        const lease = this.#endedLeases[Math.floor(a * this.#endedLeases.length)];
        if (lease === undefined) return;
        return this.#track(b < 0.7 ? lease.close() : b < 0.9 ? lease.invalidate() : lease.detach(), "a second end");
      }
      default:
        return undefined;
    }
  }

  /** Watches a promise that must be fulfilled. */
  #track(
    /** @type {any} */ promise,
    /** @type {string} */ what,
    mayReject = false,
    /** @type {() => void} */ then = () => {},
  ) {
    const entry = { what };
    this.#promises.push(entry);
    const settled = () => {
      this.#stir();
      this.#promises.splice(this.#promises.indexOf(entry), 1);
    };
    if (typeof promise?.then !== "function") return this.model.fail("what returns a promise returns one", what);
    promise.then(
      () => (settled(), then()),
      (/** @type {unknown} */ error) => {
        settled();
        const { errors } = this.model;
        const isRight = errors.has(error) || error instanceof edgepool.PoolError || this.model.isOfAnOpening(error);
        if (mayReject && isRight) return;
        this.model.fail(`${what} does not reject`, describe(error));
      },
    );
    return undefined;
  }

  #askOptions(/** @type {Random} */ random, /** @type {number} */ key) {
    /** @type {Record<string, any>} */
    const options = {};
    if (random.chance(0.25)) options.timeout = random.pick(connectTimes);
    if (random.chance(0.1)) options.deadline = random.pick(["30ms", "500ms", "5s"]);
    if (key > 0 && random.chance(0.3)) options.scope = this.#keys[key];
    return options;
  }

  #ask(/** @type {Act} */ act) {
    const random = new Random(act.a * 4294967296);
    const key = this.#program.isScoped ? random.below(3) : 0;
    const options = this.#isCalm ? {} : this.#askOptions(random, key);
    this.#key = key;
    const scope = this.#scopes[key];
    const caller = this.model.ask(
      scope,
      millis(options.timeout, this.model.timeoutMs),
      millis(options.deadline, this.model.deadlineMs),
    );
    if (!this.#isCalm && random.chance(0.35)) {
      const controller = new AbortController();
      options.signal = controller.signal;
      if (random.chance(0.05)) {
        caller.wasAborted = true;
        controller.abort(caller.reason);
      } else {
        caller.controller = controller;
        this.#abortable.push(caller);
      }
    }
    this.model.begins(caller);
    this.#say(
      `${caller.name} asks, scope ${key}${Object.keys(options)
        .map((name) => `, ${name} ${typeof options[name] === "object" ? "given" : options[name]}`)
        .join("")}`,
    );
    return { caller, options: Object.keys(options).length > 0 ? options : undefined };
  }

  #connect(/** @type {Act} */ act) {
    const { caller, options } = this.#ask(act);
    caller.isAsking = true;
    const promise = context.run(caller, () => this.#pool.connect(options));
    caller.isAsking = false;
    this.model.asked(caller);
    promise.then(
      (/** @type {any} */ lease) => {
        const held = this.#arrive(caller, lease);
        if (held === undefined) return;
        if (this.#isCalm) return this.#close(held);
        const decision = this.#decisions.take("arrival");
        this.#performWithin(decision.acts, {});
        if (!this.model.held.includes(held)) return;
        if (decision.answer === "throws") this.#close(held);
        if (decision.answer === "rejects") this.#invalidate(held, {});
      },
      (/** @type {unknown} */ error) => this.#refuse(caller, error),
    );
  }

  #use(/** @type {Act} */ act) {
    const { caller, options } = this.#ask(act);
    /** @type {import("./model.mjs").Lease | undefined} */
    let lent;
    caller.isAsking = true;
    const promise = context.run(caller, () =>
      this.#pool.use((/** @type {any} */ _connection, /** @type {any} */ lease) => {
        const held = this.#arrive(caller, lease);
        if (held === undefined) return;
        lent = held;
        return new Promise((resolve, reject) => {
          held.end = (isGood) => {
            if (isGood) return resolve(undefined);
            const error = Object.assign(new Error("the function of use() fails"), {
              isDead: held.connection.id % 2 === 0,
            });
            if (error.isDead && this.#program.dialect.includes("isDisconnect")) {
              this.model.doubt();
              held.connection.isCondemned = true;
              held.connection.isCondemnedByUse = true;
            }
            this.model.errors.add(error);
            reject(error);
          };
          if (this.#isCalm) this.#close(held);
          else this.#performWithin(this.#decisions.take("use").acts, {});
        });
      }, options),
    );
    caller.isAsking = false;
    this.model.asked(caller);
    const entry = { what: `use() of ${caller.name}` };
    this.#promises.push(entry);
    const settled = () => {
      this.#stir();
      this.#promises.splice(this.#promises.indexOf(entry), 1);
      if (lent === undefined) return;
      const { connection } = lent;
      if (lent.isEnding) connection.returns--;
      this.model.returned(connection, connection.token);
    };
    promise.then(settled, (/** @type {unknown} */ error) => {
      settled();
      const hasEnded =
        error instanceof edgepool.InvalidRequestError && error.message.startsWith("this lease of the pool");
      if (!caller.hasLease && hasEnded) this.model.arriveInVain(caller);
      else if (!caller.hasLease) this.#refuse(caller, error);
      else if (!this.model.errors.has(error))
        this.model.fail("use() rejects with the error of its function", describe(error));
    });
  }

  #arrive(/** @type {Caller} */ caller, /** @type {any} */ lease) {
    this.#stir();
    const held = this.model.arrive(caller, lease, (object) => this.#connectionOf(object));
    this.#say(`${caller.name} has ${held?.connection.name ?? "no lease"}`);
    if (held === undefined && typeof lease?.close === "function")
      this.#track(lease.close(), "the close of an ended lease");
    const { resetOnReturn } = this.#program.options;
    if (held !== undefined) held.connection.wantsReset = resetOnReturn !== "none";
    return held;
  }

  #refuse(/** @type {Caller} */ caller, /** @type {unknown} */ error) {
    this.#stir();
    this.#say(`${caller.name} is refused: ${describe(error).slice(0, 90)}`);
    this.model.refuse(caller, error);
  }

  #close(/** @type {import("./model.mjs").Lease} */ held, /** @type {any} */ options = undefined) {
    const { connection, lease, end } = held;
    this.#say(`${held.caller.name} closes ${connection.name}`);
    this.model.release(held);
    const { token } = connection;
    connection.returns++;
    if (end !== undefined) {
      held.isEnding = true;
      return end(token % 4 !== 0);
    }
    this.#endedLeases.push(lease);
    if (options !== undefined && this.#program.options.resetOnReturn !== "commit") connection.wantsReset = false;
    return this.#track(lease.close(options), "lease.close()", false, () => {
      connection.returns--;
      this.model.returned(connection, token);
    });
  }

  #invalidate(
    /** @type {import("./model.mjs").Lease} */ held,
    /** @type {{ soft?: boolean, pool?: boolean }} */ options,
  ) {
    const { connection, lease } = held;
    this.#say(`${held.caller.name} invalidates ${connection.name} ${JSON.stringify(options)}`);
    const isCurrent = lease.isValid && !held.isDetached && !connection.isEmptied;
    this.model.mayDisconnect = true;
    if (options.pool === true && isCurrent) this.model.markAsOld(connection);
    if (options.soft === true) {
      connection.mayBeStale = true;
      if (isCurrent) connection.staleIn = Math.min(connection.staleIn, this.model.turn);
    } else {
      connection.isCondemned = true;
      this.model.release(held);
      this.#endedLeases.push(lease);
    }
    this.#track(lease.invalidate(new Error("not to be trusted"), options), "lease.invalidate()");
    if (options.soft !== true) held.end?.(true);
  }

  #detach(/** @type {import("./model.mjs").Lease} */ held) {
    const { connection, lease } = held;
    // What close() terminates at the end of its patience cannot be detached.
    if (held.isDetached || this.model.isPatienceOver()) return;
    // The function of another holder's use() has failed: its pool notices that some microtasks later.
    if (connection.isCondemnedByUse) return;
    this.#say(`${held.caller.name} detaches ${connection.name}`);
    if (lease.isValid) {
      held.isDetached = true;
      held.countsAsDetached =
        connection.ends === 0 &&
        !connection.hasLeft &&
        !connection.isEmptied &&
        !connection.isCondemned &&
        !connection.isDetached;
      if (held.countsAsDetached) {
        connection.isDetached = true;
        connection.detachedIn = this.model.turn;
      }
      connection.phase = "detached";
      connection.mayBeStale = true;
    } else {
      // Of a connection that another holder has invalidated.
      held.isDetached = true;
    }
    this.#track(lease.detach(), "lease.detach()");
  }

  /** Ends the connection that a record has now, if it has one. */
  #endRecord(/** @type {any} */ record, /** @type {string} */ how) {
    const object = record?.connection ?? null;
    if (object === null) return;
    const connection = this.#connectionOf(object);
    if (this.#isAdopting && connection.uses === 0 && !settings.recordEndsWhileAdopted) return;
    this.#say(`${how} of ${connection.name}`);
    if (how === "record.invalidate softly") {
      connection.mayBeStale = true;
      connection.staleIn = Math.min(connection.staleIn, this.model.turn);
      this.#track(record.invalidate(undefined, { soft: true }), how);
      return;
    }
    this.model.empty(connection);
    connection.hasEndedInDeath = true;
    this.#track(how === "record.close" ? record.close() : record.invalidate(new Error("gone")), how);
  }

  /** Ends the lease that a checkout listener was shown. */
  #endShown(/** @type {any} */ lease, /** @type {number} */ how) {
    if (lease === undefined) return;
    this.#say("ends the lease that it was shown");
    this.model.mayDisconnect = true;
    this.model.doubt();
    this.#track(how < 0.5 ? lease.close() : how < 0.8 ? lease.invalidate() : lease.detach(), "the shown lease's end");
  }

  #dispose() {
    const { model } = this;
    const idle = model.idle();
    model.mark("disposedIn");
    for (const scope of this.#scopes) scope.isFilled = false;
    this.#track(this.#pool.dispose(), "dispose()", false, () => model.checkEnded(idle, "dispose()"));
  }

  #warm(/** @type {Act} */ { a, b }) {
    const key = this.#program.isScoped ? Math.floor(b * 3) : 0;
    this.#key = key;
    const scope = this.#scopes[key];
    const count = 1 + Math.floor(a * 4);
    this.#say(`warm(${count}), scope ${key}`);
    scope.isFilled = true;
    if (!this.#program.isScoped) this.model.asked({ scope });
    this.model.hasWarmedWithin ||= this.#depth > 0;
    this.#track(
      context.run({ scope }, () => this.#pool.warm(count)),
      "warm()",
      true,
    );
  }

  #endScope(/** @type {number} */ key) {
    if (!this.#program.isScoped) return;
    this.#say(`endScope(${key})`);
    this.#scopes[key].hasEnded = true;
    this.#scopes[key] = new Scope(key);
    for (const connection of this.model.connections)
      if (connection.scope === undefined || connection.scope.hasEnded) connection.mayBeStale = true;
    const idle = this.model.idle().filter(({ scope }) => scope?.hasEnded === true);
    this.#track(this.#pool.endScope(this.#keys[key]), "endScope()", false, () =>
      this.model.checkEnded(idle, "endScope()"),
    );
  }

  #abort(/** @type {number} */ a) {
    const caller = this.#abortable[Math.floor(a * this.#abortable.length)];
    if (caller === undefined) return;
    this.#abortable.splice(this.#abortable.indexOf(caller), 1);
    this.#say(`${caller.name} aborts`);
    caller.wasAborted = true;
    caller.wasAbortedEarly = caller.isAsking && this.#program.isScoped;
    caller.controller?.abort(caller.reason);
  }

  #closePool(/** @type {any} */ timeout, drain = false) {
    this.#say(`pool.close(${timeout ?? ""}${drain ? " drain" : ""})`);
    this.model.close(millis(timeout, 10_000), drain);
    const options = timeout === undefined && !drain ? undefined : { timeout, drain };
    this.#track(this.#pool.close(options), "pool.close()", false, () => this.model.closeEnded());
  }

  #resize(/** @type {Act} */ { a, b, c }) {
    /** @type {Record<string, number>} */
    const sizes = {};
    if (a < 0.8) sizes.poolSize = [1, 2, 3, 5, 1, 0][Math.floor(a * 7.5)];
    if (b < 0.6) sizes.maxOverflow = [0, 0, 1, 2, -1, 0][Math.floor(b * 10)];
    if (c < 0.3) sizes.minIdle = Math.floor(c * 10);
    if (c > 0.5) sizes.min = Math.floor((c - 0.5) * 8);
    this.#say(`resize(${JSON.stringify(sizes)})`);
    this.model.resize(sizes, this.#scopes);
    this.#pool.resize(sizes);
  }

  #freeze(/** @type {number} */ ms, /** @type {number} */ b) {
    // Each scope reads the clock for itself.
    if (b < 0.2 && !this.#program.isScoped) {
      this.#say(`the clock goes back by ${ms} ms`);
      this.#clock.stepBack(ms);
      return;
    }
    this.#say(`nothing runs for ${ms} ms`);
    this.#clock.freeze(ms);
    this.model.freeze(ms);
  }

  #die(/** @type {Connection} */ connection) {
    const { died, ends, hasLeft, isEmptied } = connection;
    if (died === undefined) return;
    this.#say(`${connection.name} dies`);
    if (ends === 0) this.model.die(connection);
    if (ends === 0 && !this.#program.dialect.includes("isDisconnect")) this.model.empty(connection);
    const error = new Error(`${connection.name} died`);
    this.model.errors.add(error);
    const outer = this.#dying;
    this.#dying = ends === 0 ? { connection, error } : undefined;
    connection.hasEndedInDeath = false;
    died(error);
    this.#dying = outer;
    if (ends === 0 && !hasLeft && !isEmptied && !connection.hasEndedInDeath) this.model.dead(connection);
  }

  // ---- quiet

  /** Lets every microtask run that is due. */
  async #settle() {
    for (let round = 0; round < 500; round++) {
      const before = this.#activity;
      for (let turn = 0; turn < 16; turn++) await null;
      if (before === this.#activity) return;
    }
    this.model.fail("the pool comes to rest", "it calls without end");
  }

  /** Lets everything settle, runs the timers that are due, and checks. */
  async #quieten() {
    await this.#pass(0);
  }

  /** Lets so much time pass, timer by timer. */
  async #pass(/** @type {number} */ ms) {
    const end = this.#clock.elapsed + Math.ceil(ms);
    const { fired } = this.#clock;
    await this.#settle();
    this.#check();
    while (this.model.failure === undefined && this.#clock.runNext(end)) {
      await this.#settle();
      if (this.#clock.fired - fired > 2_000) this.model.fail("the timer rests", `${ms} ms take 2,000 timers`);
      else this.#check();
    }
    if (end > this.#clock.elapsed) {
      this.#clock.elapsed = end;
      this.#check();
    }
  }

  #check() {
    const { model } = this;
    if (model.failure !== undefined) return;
    model.checkCallers();
    const isAtRest = this.#pending === 0;
    this.#isChecking = true;
    const key = this.#key;
    for (const scope of this.#scopes) {
      this.#key = scope.key;
      if (!scope.hasBegun) {
        if (settings.newScopeHasZeros && this.#program.isScoped) model.checkZeros(this.#pool.stats());
        continue;
      }
      model.checkGauges(scope, this.#pool.stats(), isAtRest);
    }
    this.#key = key;
    model.checkCounters(this.#pool.stats({ scope: "all" }), isAtRest);
    this.#isChecking = false;
    model.turn++;
    model.turnBegan = this.#clock.elapsed;
  }

  // ---- the end

  /** In the end everything goes well: the pool must serve again, close, and be empty. */
  async #finish() {
    const { model } = this;
    await this.#quieten();
    this.#isCalm = true;
    this.#say("from now on everything goes well");
    const isBounded = model.driverTimeoutMs < Infinity && (!model.pings || model.pingTimeoutMs < Infinity);
    if (isBounded && this.#program.seed % 3 > 0) await this.#recover();
    if (model.failure !== undefined) return;
    this.#say("what hangs is answered");
    for (const settle of this.#hanging) settle(true);
    this.#hanging.clear();
    await this.#recover();
    if (model.closedAt === Infinity) await this.#serveAgain();
    if (model.failure === undefined) await this.#closeAtLast();
  }

  /** Gives every lease back until no caller waits, and checks that nothing is left on its way. */
  async #recover() {
    const { model } = this;
    for (let round = 0; round < 6 && model.failure === undefined; round++) {
      for (let rest = 0; model.held.length > 0 && rest < 100; rest++) {
        for (const held of model.held.slice()) this.#close(held);
        await this.#settle();
      }
      const times = [model.driverTimeoutMs, model.pings ? model.pingTimeoutMs : 0].filter((ms) => ms < Infinity);
      await this.#pass(Math.max(...times, 12_000) * 1.07 + 50);
      if (round > 0 && model.waiting.length === 0 && this.#promises.length === 0 && model.held.length === 0) break;
    }
    if (model.failure !== undefined) return;
    const [caller] = model.waiting;
    if (caller !== undefined) model.fail("every caller is settled", `${caller.name} still waits`);
    const [promise] = this.#promises;
    if (promise !== undefined) model.fail("every promise is settled", promise.what);
    const { used, opening, closing, waiting, detached } = this.#pool.stats({ scope: "all" });
    if (used + opening + closing + waiting + detached > 0)
      model.fail("no slot is lost", JSON.stringify({ used, opening, closing, waiting, detached }));
  }

  async #serveAgain() {
    const { model } = this;
    for (const scope of this.#scopes) {
      if (!scope.hasBegun || model.failure !== undefined) continue;
      this.#key = scope.key;
      const caller = model.ask(scope);
      this.#say(`${caller.name} asks, scope ${scope.key}`);
      let error;
      const promise = context.run(caller, () => this.#pool.connect());
      promise.then(
        (/** @type {any} */ lease) => {
          const held = this.#arrive(caller, lease);
          if (held !== undefined) this.#close(held);
        },
        (/** @type {unknown} */ refusal) => {
          error = refusal;
          this.#refuse(caller, refusal);
        },
      );
      await this.#pass(100);
      if (!caller.hasLease)
        model.fail("the pool serves again", caller.isSettled ? `${caller.name}: ${describe(error)}` : "a caller waits");
    }
    if (model.idleTimeoutMs < Infinity && model.failure === undefined) {
      await this.#pass(model.idleTimeoutMs * 3.3 + 100);
      if (model.failure === undefined && this.#clock.size > 0)
        model.fail("the timer rests", "no caller waits, and nothing is to be closed for its idleness");
    }
  }

  async #closeAtLast() {
    const { model } = this;
    this.#closePool(undefined);
    await this.#pass(11_000);
    await this.#pass(Math.min(model.idleTimeoutMs, 20_000) + 13_000);
    if (model.failure !== undefined) return;
    const [promise] = this.#promises;
    if (promise !== undefined) return model.fail("every promise is settled", promise.what);
    for (const { name, ends, isOpen } of model.connections)
      if (ends !== 1 || isOpen) model.fail("every connection is closed once", `${name} was closed ${ends} times`);
    const { total, detached } = this.#pool.stats({ scope: "all" });
    if (total + detached > 0) model.fail("a closed pool is empty", JSON.stringify({ total, detached }));
    if (this.#clock.size > 0) model.fail("a closed pool has no timer", `${this.#clock.size} run`);
    const refused = await this.#pool.connect().then(
      () => "a lease",
      (/** @type {any} */ error) => error?.code,
    );
    if (refused !== "ERR_POOL_CLOSED") model.fail("a closed pool refuses", `connect() gave ${refused}`);
  }
}

const calm = Object.freeze({ acts: [], answer: "at once", number: 0, fraction: 0.5 });
const eventNames = ["checkout", "reset", "checkin", "invalidate", "close", "connect", "error", "softInvalidate"];
