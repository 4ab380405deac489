// @ts-check
// The reference model: what the callers and the server see of a pool, and the rules that must hold. The model counts
// connections, callers and leases by itself. It asks the pool for its numbers only to compare them.

/** For how long a pool whose timer rings late lets the host deliver: a grace, and one turn of its loop. */
const patience = (/** @type {number} */ lateMs) => Math.min(lateMs, 50) + 1;

/** What a number of milliseconds may end late: a fiftieth, or 10 ms. */
const lateness = (/** @type {number} */ ms) => Math.max(ms / 50, 10);

/** For how long a creator that was given up counts. */
const givenUpMs = 600_000;

/** Reads an option that is a duration. */
export function millis(/** @type {string | number | null | undefined} */ duration, absent = Infinity) {
  if (duration === undefined) return absent;
  if (duration === null || duration === -1) return Infinity;
  if (typeof duration === "number") return duration * 1000;
  const [, count, unit] = /** @type {RegExpExecArray} */ (/^(\d+)(ms|s|m)$/.exec(duration));
  return Number(count) * { ms: 1, s: 1000, m: 60_000 }[/** @type {"ms" | "s" | "m"} */ (unit)];
}

/** One scope, from its first caller to its end. */
export class Scope {
  hasEnded = false;
  hasBegun = false;
  /** The last caller that got a connection, or began to open or to check one. */
  lastServed = 0;
  /** How many slots it may still have, of the time before the pool shrank. */
  mostSlots = 0;
  /** Whether the pool keeps `min` connections open in it: since a call, and until dispose(). */
  isFilled = false;
  /** When an opening failed in it last. */
  failedAt = -Infinity;

  constructor(/** @type {number} */ key) {
    this.key = key;
  }
}

/** One call of connect() or use(). */
export class Caller {
  isSettled = false;
  /** The turn in which it came. */
  askedIn = 0;
  /** How many of its scope were not settled when it came. */
  othersWaiting = 0;
  hasLease = false;
  /** Whether its creator, ping or listeners were called, so that it has left the queue. */
  hasStarted = false;
  /** Whether it may have: a connection was ended in its async context. */
  mayHaveStarted = false;
  /** How long the clock stood still for it. */
  slack = 0;
  /** @type {{ call: string, connection: Connection | undefined, at: number } | undefined} */
  lastCall = undefined;
  /** @type {number | undefined} When the first of its calls was made. */
  firstCallAt = undefined;
  /** @type {Connection | undefined} */
  pinged = undefined;
  /** @type {Connection | undefined} The one that others held when it was checked for this caller. */
  joined = undefined;
  wasAborted = false;
  /** Whether connect() has not returned, and whether it was aborted before that by what its scope had left to do. */
  isAsking = false;
  wasAbortedEarly = false;
  /** @type {Opening | undefined} */
  opening = undefined;
  /** @type {{ connection: Connection, turn: number, at: number } | undefined} */
  touched = undefined;

  constructor(
    /** @type {number} */ id,
    /** @type {Scope} */ scope,
    /** @type {number} */ askedAt,
    /** @type {number} */ timeoutMs,
    /** @type {number} */ deadlineMs,
  ) {
    this.id = id;
    this.name = `caller ${id}`;
    this.scope = scope;
    this.askedAt = askedAt;
    this.timeoutMs = timeoutMs;
    this.deadlineMs = deadlineMs;
    /** @type {AbortController | undefined} */
    this.controller = undefined;
    /** With what its signal aborts. */
    this.reason = Object.freeze({ name: `${this.name} aborts` });
  }
}

/** One call of the creator. */
export class Opening {
  isRunning = true;
  answeredIn = -1;
  slack = 0;

  constructor(
    /** @type {Scope | undefined} */ scope,
    /** @type {Caller | undefined} */ caller,
    /** @type {number} */ startedAt,
    /** @type {number} */ turn,
    /** @type {number} */ number,
  ) {
    this.scope = scope;
    this.caller = caller;
    this.startedAt = startedAt;
    this.turn = turn;
    this.number = number;
    /** The turns in which the connection to be was marked. */
    this.staleIn = Infinity;
    this.disposedIn = Infinity;
    this.mayBeStale = false;
  }
}

/** One connection that the creator has answered. */
export class Connection {
  /** @type {"checkout" | "lent" | "returning" | "free" | "detached"} */
  phase = "checkout";
  /** Counts what happens to it, so that a late promise does not change its phase. */
  token = 0;
  /** @type {Set<Lease>} */
  holders = new Set();
  uses = 0;
  /** Leases of it that are being given back. */
  returns = 0;
  isOpen = true;
  /** Calls of its close and its termination. */
  ends = 0;
  endsAt = Infinity;
  endedIn = Infinity;
  /** The caller for which it was ended, by the async context. @type {Caller | undefined} */
  endedFor = undefined;
  isDetached = false;
  detachedIn = Infinity;
  /** Whether the listeners of its end were called: it has left its slot. */
  hasLeft = false;
  /** Whether a ping of it has not answered, or its reset. */
  isBeingPinged = false;
  isBeingReset = false;
  /** Whether its record was closed or invalidated. */
  isEmptied = false;
  /** Whether its driver has reported its death before anything else had ended it. */
  isDead = false;
  /** Whether its record was closed or invalidated while the dialect was asked about its death. */
  hasEndedInDeath = false;
  emptiedIn = Infinity;
  /** Whether that happened during its own checkout: then the connection is beside the maximum. */
  isBeside = false;
  /** Whether the pool may have closed it because it shrank. */
  mayGo = false;
  /** Whether a share of it was invalidated. */
  isCondemned = false;
  /** Whether that was the error of a function of use(), which the pool notices some microtasks later. */
  isCondemnedByUse = false;
  /** Turns in which it was certainly marked. */
  staleIn = Infinity;
  disposedIn = Infinity;
  /** Whether it may be stale, or dead. */
  mayBeStale = false;
  freeSince = 0;
  freeIn = Infinity;
  releasedAt = 0;
  /** The turn in which it was opened, checked, or given back. */
  movedIn = -1;
  /** Whether the pool must still reset it. */
  wantsReset = false;
  /** @type {((error: unknown) => void) | undefined} */
  died = undefined;
  /** @type {any} */
  record = null;

  constructor(
    /** @type {number} */ id,
    /** @type {Opening} */ opening,
    /** @type {number} */ openedAt,
    /** @type {boolean} */ isLate,
  ) {
    this.id = id;
    this.name = `connection ${id}`;
    this.opening = opening;
    this.scope = opening.scope;
    /** At the earliest, and at the latest, by what the pool may have noticed. */
    this.openedFirst = openedAt;
    this.openedAt = openedAt;
    this.isLate = isLate;
    this.staleIn = opening.staleIn;
    this.disposedIn = opening.disposedIn;
    this.mayBeStale = opening.mayBeStale;
  }
}

/** A lease that a caller holds. */
export class Lease {
  isDetached = false;
  /** Whether it has not ended with its connection, whose death was reported. */
  hasSlot = true;
  /** Whether the function of use() has ended, which gives the lease back. */
  isEnding = false;
  /** Whether stats() counts it as detached. */
  countsAsDetached = false;

  constructor(/** @type {any} */ lease, /** @type {Connection} */ connection, /** @type {Caller} */ caller) {
    this.lease = lease;
    this.connection = connection;
    this.caller = caller;
    /** Ends the function of use(), if the lease is one of use(). @type {((isGood: boolean) => void) | undefined} */
    this.end = undefined;
  }
}

export class Model {
  /** @type {Caller[]} Those that are not settled, in the order in which they came. */
  waiting = [];
  callerCount = 0;
  /** @type {Connection[]} */
  connections = [];
  /** @type {Set<Opening>} */
  openings = new Set();
  /** Those that were answered in this turn: the pool may not have noticed. @type {Opening[]} */
  #lastAnswered = [];
  /** @type {Lease[]} */
  held = [];
  creatorCalls = 0;
  arrivals = 0;
  timedOut = 0;
  aborted = 0;
  /** Callers that left before it is known whether their call had reached the pool. */
  abortedEarly = 0;
  turn = 0;
  /** When the turn began: in it a lease may have been granted that arrives later. */
  turnBegan = 0;
  closedAt = Infinity;
  patienceMs = 0;
  closeSlack = 0;
  isCloseOver = false;
  /** Whether the close serves the callers that came before it, and the last of these. */
  drains = false;
  lastAdmitted = Infinity;
  /** Whether the pool opens connections by itself, for `min`. */
  fills = false;
  /** When the process stood still last, or the clock went back. */
  #disturbedAt = -Infinity;
  /** Whether a callback has called warm(): what that opens runs in the context of the outermost caller. */
  hasWarmedWithin = false;
  mayDisconnect = false;
  hasAnsweredNothing = false;
  /** Whether callers that lose the connection that they were about to share keep their order. */
  judgesOrderOfSharers = false;
  /** @type {Set<unknown>} What the program has thrown. */
  errors = new Set();
  /** @type {Record<string, number> | undefined} */
  #counters = undefined;
  /** The turn in which the process stood still, and for how long. */
  #frozenIn = -1;
  #frozenMs = 0;
  /** Until then the pool judges no time, because its timer rang late. */
  #patientUntil = 0;
  /** The turn in which connections may have been marked: the pool may do that some microtasks later. */
  #doubtedIn = -1;
  /**
   * Callers that seem to have been overtaken by the creator's call for another one. They had their share before, if it
   * arrives in the same turn and is of an earlier opening.
   * @type {{ first: Caller, caller: Caller, opening: Opening }[]}
   */
  #overtaken = [];
  /** @type {{ rule: string, detail: string } | undefined} */
  failure = undefined;

  constructor(
    /** @type {import("./program.mjs").Program} */ program,
    /** @type {import("./clock.mjs").VirtualClock} */ clock,
    /** @type {typeof import("edgepool")} */ edgepool,
  ) {
    const { kind, options, isScoped } = program;
    this.kind = kind;
    /** Whether the pool has a scope function: then its creators run outside of their callers. */
    this.isScoped = isScoped;
    this.options = { ...options };
    this.clock = clock;
    this.edgepool = edgepool;
    /**
     * Whether callers share a connection. One that no caller may join any more, because it was invalidated or disposed
     * of while it was shared, keeps its slot beside the maximum until its last holder has left. So the maximum is not
     * judged in these kinds.
     */
    this.isShared = kind === "StaticPool" || kind === "SingletonThreadPool";
    this.max = 0;
    this.mostIdle = 0;
    this.minIdle = 0;
    this.min = 0;
    this.#takeSizes();
    this.maxConnecting = options.maxConnecting ?? Infinity;
    this.maxUses = options.maxUses ?? Infinity;
    this.driverTimeoutMs = millis(options.driverTimeout, 30_000);
    this.openTimeoutMs = millis(options.openTimeout, this.driverTimeoutMs);
    /** Whether an opening that failed is tried again: then its caller waits, and openings are spaced out. */
    this.retries = options.openRetry ?? options.deadline !== undefined;
    this.returnTimeoutMs = millis(options.returnTimeout, 1_000);
    this.pingTimeoutMs = millis(options.pingTimeout, 5_000);
    this.timeoutMs = millis(options.timeout, kind === "QueuePool" ? 30_000 : Infinity);
    this.deadlineMs = millis(options.deadline);
    this.recycleMs = millis(options.recycle);
    this.idleTimeoutMs = millis(options.idleTimeout);
    this.pings = options.prePing === true && kind !== "NullPool";
    this.pingAfterMs = millis(options.prePingAfterIdle, 0);
  }

  fail(/** @type {string} */ rule, /** @type {string} */ detail) {
    this.failure ??= { rule, detail };
  }

  #takeSizes() {
    const { kind, options } = this;
    this.max = maxOf(kind, options);
    this.mostIdle = mostIdleOf(kind, options);
    this.minIdle = Math.min(options.minIdle ?? 0, this.mostIdle);
    this.min = Math.min(options.min ?? 0, this.mostIdle);
    this.fills ||= this.min > 0;
    this.hasWarmedWithin ||= this.fills;
  }

  resize(/** @type {Record<string, number>} */ sizes, /** @type {Scope[]} */ scopes) {
    const { max } = this;
    Object.assign(this.options, sizes);
    this.#takeSizes();
    for (const scope of scopes) if (this.max < max) scope.mostSlots = Math.max(scope.mostSlots, max);
    for (const connection of this.connections) connection.mayGo = true;
  }

  // ---- callers

  ask(/** @type {Scope} */ scope, timeoutMs = this.timeoutMs, deadlineMs = this.deadlineMs) {
    const caller = new Caller(++this.callerCount, scope, this.clock.elapsed, timeoutMs, deadlineMs);
    caller.askedIn = this.turn;
    caller.slack = Math.max(this.#patientUntil - this.clock.elapsed, 0);
    this.#join(caller);
    return caller;
  }

  /** The call of a caller, or of warm(), has reached the pool. What it has called may have closed the pool before. */
  asked(/** @type {{ scope: Scope }} */ { scope }) {
    scope.hasBegun ||= this.closedAt === Infinity;
  }

  /** A call is about to reach the pool, which keeps `min` connections open from then on. */
  begins(/** @type {Caller} */ { scope, wasAborted }) {
    if (!wasAborted) scope.isFilled = true;
  }

  /** The call of the caller reaches the pool only now: what the option `scope` has asked came before. */
  askAgain(/** @type {Caller} */ caller, /** @type {Scope} */ scope) {
    caller.id = ++this.callerCount;
    caller.askedIn = this.turn;
    caller.scope = scope;
    // A signal that is aborted already is not counted.
    if (caller.wasAborted) caller.controller = undefined;
    this.waiting.splice(this.waiting.indexOf(caller), 1);
    this.#join(caller);
    scope.isFilled = false;
    this.begins(caller);
  }

  #join(/** @type {Caller} */ caller) {
    caller.othersWaiting = this.waiting.filter((other) => other.scope === caller.scope).length;
    this.waiting.push(caller);
  }

  /** A creator, a ping or a listener was called for the caller. */
  start(
    /** @type {Caller} */ caller,
    /** @type {string} */ call,
    connection = /** @type {Connection | undefined} */ (undefined),
  ) {
    // Its opening goes on for the pool, because a connection that came back serves it.
    if (connection !== caller.touched?.connection && isBeingServed(caller)) return;
    // The listeners of one firing have one time together.
    const isSame = caller.lastCall?.call === call && caller.lastCall.connection === connection;
    if (!isSame) caller.lastCall = { call, connection, at: this.turnBegan };
    caller.firstCallAt ??= this.turnBegan;
    if (caller.hasStarted) return;
    caller.hasStarted = true;
    this.#serve(caller);
  }

  #serve(/** @type {Caller} */ caller) {
    caller.scope.lastServed = Math.max(caller.scope.lastServed, caller.id);
  }

  #settle(/** @type {Caller} */ caller) {
    if (caller.isSettled) this.fail("a caller is settled once", `${caller.name} is settled again`);
    caller.isSettled = true;
    const place = this.waiting.indexOf(caller);
    if (place >= 0) this.waiting.splice(place, 1);
  }

  /** connect() has resolved. Answers the lease, or undefined if that is none. */
  arrive(/** @type {Caller} */ caller, /** @type {any} */ lease, /** @type {(value: any) => any} */ connectionOf) {
    this.#settle(caller);
    this.arrivals++;
    caller.hasLease = true;
    this.#serve(caller);
    if (typeof lease?.close !== "function")
      return void this.fail("connect() resolves with a lease", `${caller.name} got ${String(lease)}`);
    if (caller.wasAborted && caller.controller === undefined)
      this.fail("an aborted signal is refused", `${caller.name} came with an aborted signal and got a lease`);
    /** @type {Connection | undefined} */
    let connection;
    try {
      connection = connectionOf(lease.connection);
    } catch {
      // Ended before it arrived.
    }
    this.#takeShare(caller, connection);
    if (connection === undefined || !lease.isValid) {
      const isExcused = this.kind === "SingletonThreadPool" && this.connections.some((other) => other.isCondemned);
      if (!isExcused) this.fail("a lease is valid when it arrives", `${caller.name} got a lease that has ended`);
      return undefined;
    }
    this.#checkArrival(caller, connection);
    const held = new Lease(lease, connection, caller);
    held.hasSlot = !connection.isDead;
    connection.uses++;
    connection.token++;
    connection.phase = "lent";
    connection.holders.add(held);
    connection.wantsReset = false;
    this.held.push(held);
    return held;
  }

  /** The caller was not overtaken by the opening of a connection that is later than its own. */
  #takeShare(/** @type {Caller} */ caller, /** @type {Connection | undefined} */ connection) {
    const isEarlier = (/** @type {Opening} */ { number }) => (connection?.opening.number ?? 0) < number;
    this.#overtaken = this.#overtaken.filter(({ first, opening }) => first !== caller || !isEarlier(opening));
  }

  #checkArrival(/** @type {Caller} */ caller, /** @type {Connection} */ connection) {
    const what = `${caller.name} got ${connection.name}`;
    const { touched } = caller;
    const checked = touched?.connection === connection ? touched : { turn: this.turn, at: this.turnBegan };
    const hadEnded = !this.isShared || connection.endedIn < this.turn || connection.endedFor === caller;
    if (connection.ends > 0 && hadEnded && !connection.isEmptied && !this.isPatienceOver())
      this.fail("a lease's connection is open when the lease arrives", `${what}, which was closed`);
    if (connection.detachedIn < this.turn) this.fail("a detached connection is not lent", what);
    if (connection.scope === undefined) connection.scope = caller.scope;
    if (connection.scope !== caller.scope)
      this.fail("no connection passes from one scope to another", `${what} of scope ${connection.scope.key}`);
    if (!this.isShared && connection.holders.size > 0)
      this.fail("a connection is lent to one caller at a time", `${what}, which another caller holds`);
    if (connection.uses >= this.maxUses) this.fail("maxUses holds", `${what} after ${connection.uses} uses`);
    // The share that the caller joined may not have arrived yet, or may have been given back since.
    const isJoined =
      caller.joined === connection ||
      connection.holders.size > 0 ||
      (this.isShared && (connection.movedIn === this.turn || this.#isBeingJoined(connection)));
    const isUnknown = this.hasWarmedWithin || this.isScoped;
    const isOpener = connection.uses === 0 && (connection.opening.caller === caller || isUnknown);
    if (isOpener) return;
    const joins = isJoined && this.isShared;
    // A caller that joins is judged by when it came. It is lent a connection that has merely grown old.
    if (connection.disposedIn < (joins ? caller.askedIn : checked.turn))
      this.fail("a connection from before dispose() is closed", what);
    // Those of a SingletonThreadPool share what the first of them has, as it is.
    if (joins && this.kind === "SingletonThreadPool") return;
    if (connection.emptiedIn < checked.turn) this.fail("an emptied record has no connection", what);
    if (connection.staleIn < checked.turn) this.fail("a stale connection is replaced", what);
    if (joins) return;
    const age = checked.at - connection.openedAt;
    if (age > this.recycleMs || this.recycleMs === 0) this.fail("recycle holds", `${what} at the age of ${age} ms`);
    if (isJoined || connection.uses === 0) return;
    if (connection.wantsReset && !this.isShared) this.fail("a connection is reset between two leases", what);
    const isDue = connection.phase === "free" && checked.at - connection.freeSince >= this.pingAfterMs;
    if (this.pings && caller.pinged !== connection && (this.pingAfterMs === 0 || isDue))
      this.fail("a re-used connection is pinged", what);
  }

  /** Whether another caller has its share of the connection, and has not arrived: the connection is checked for it. */
  #isBeingJoined(/** @type {Connection} */ connection) {
    return this.isShared && this.waiting.some(({ touched }) => touched?.connection === connection);
  }

  /** use() was given a lease that another caller's invalidation had ended. */
  arriveInVain(/** @type {Caller} */ caller) {
    this.#settle(caller);
    this.arrivals++;
    caller.hasLease = true;
    this.#serve(caller);
    this.#takeShare(caller, undefined);
    if (this.kind !== "SingletonThreadPool" || !this.connections.some(({ isCondemned }) => isCondemned))
      this.fail("a lease is valid when it arrives", `${caller.name} got a lease that has ended`);
  }

  /** connect() has rejected. */
  refuse(/** @type {Caller} */ caller, /** @type {any} */ error) {
    this.#settle(caller);
    const { PoolTimeoutError, PoolClosedError, QueueFullError } = this.edgepool;
    const { AssertionError, InvalidRequestError, ArgumentError } = this.edgepool;
    const strange = (/** @type {string} */ why) =>
      this.fail("a caller is refused for a reason", `${caller.name} is refused with ${describe(error)}, ${why}`);
    if (caller.wasAborted && error === caller.reason) {
      if (caller.wasAbortedEarly) this.abortedEarly++;
      else if (caller.controller !== undefined) this.aborted++;
    } else if (error instanceof PoolTimeoutError) {
      this.timedOut++;
      this.#checkTimeout(caller, error);
    } else if (error instanceof QueueFullError) {
      const most = this.kind === "AssertionPool" ? 1 : (this.options.maxWaiters ?? Infinity);
      if (caller.othersWaiting < most) strange(`though ${caller.othersWaiting} wait`);
    } else if (error instanceof PoolClosedError) {
      if (this.closedAt === Infinity && !caller.scope.hasEnded) strange("though the pool is open");
      const isAdmitted = this.#isDraining() && caller.id <= this.lastAdmitted && !caller.scope.hasEnded;
      if (isAdmitted && !this.isPatienceOver()) strange("though it came before the close, which drains the pool");
    } else if (error instanceof AssertionError) {
      if (this.kind !== "AssertionPool") strange(`by a ${this.kind}`);
    } else if (error instanceof InvalidRequestError) {
      if (!this.mayDisconnect) strange("though no connection died");
    } else if (error instanceof ArgumentError) {
      if (!this.hasAnsweredNothing) strange("though every creator has answered a connection");
    } else if (!this.errors.has(error) && !this.isOfAnOpening(error)) strange("which is not an error of the program");
  }

  /** In a pause, or with no retry left, the time-out of an opening is the error of every caller, and of warm(). */
  isOfAnOpening(/** @type {any} */ error) {
    return this.retries && String(error?.message).startsWith("opening a connection took");
  }

  #checkTimeout(/** @type {Caller} */ caller, /** @type {any} */ error) {
    const now = this.clock.elapsed;
    const { askedAt, timeoutMs, deadlineMs, lastCall, firstCallAt } = caller;
    const calledAt = (this.hasWarmedWithin ? firstCallAt : lastCall?.at) ?? askedAt;
    const stepMs = error.step === "open" ? this.openTimeoutMs : this.driverTimeoutMs;
    const stepEnd = error.step === "wait" ? askedAt + timeoutMs : calledAt + stepMs;
    const end = Math.min(askedAt + deadlineMs, stepEnd, this.retries ? askedAt + timeoutMs : Infinity);
    if (error.step === "open" && this.#isBlocked(caller)) return;
    if (now < end)
      this.fail(
        "no caller is refused before its time",
        `${caller.name}, asked at ${askedAt}, is refused (${error.step}) at ${now}, ${end - now} ms early`,
      );
  }

  /**
   * Whether a caller in the queue waits in vain: creators that were given up are as many as may be, and the scope has
   * no connection that could come back.
   */
  #isBlocked(/** @type {Caller} */ { scope, hasStarted }) {
    const now = this.clock.elapsed;
    const mayCount = (/** @type {Opening} */ opening) =>
      opening.scope === scope &&
      now - opening.startedAt >= this.openTimeoutMs &&
      now < opening.startedAt + this.openTimeoutMs + lateness(this.openTimeoutMs) + opening.slack + givenUpMs;
    const lately = this.#lastAnswered.filter(({ answeredIn }) => answeredIn === this.turn);
    const givenUp = [...this.openings, ...lately].filter(mayCount).length;
    const hasOne = this.connections.some((other) => other.scope === scope && this.#isKept(other));
    return !hasStarted && !this.retries && givenUp >= this.#mostCreators && !hasOne;
  }

  /** How many creators may run, those that were given up included. */
  get #mostCreators() {
    return Math.max(2 * this.max, 5);
  }

  // ---- connections

  open(/** @type {Scope | undefined} */ scope, /** @type {Caller | undefined} */ caller) {
    const opening = new Opening(scope, caller, this.clock.elapsed, this.turn, ++this.creatorCalls);
    opening.slack = Math.max(this.#patientUntil - this.clock.elapsed, 0);
    this.openings.add(opening);
    opening.mayBeStale = this.#doubtedIn === this.turn;
    if (caller !== undefined) caller.opening = opening;
    this.#pingIsOver(caller?.pinged);
    if (this.judgesOrderOfSharers && this.isShared && caller !== undefined) this.#checkTurnOf(caller, opening);
    if (scope === undefined) return opening;
    const running = [...this.openings].filter((other) => other.scope === scope && this.#isTimely(other)).length;
    if (running > this.maxConnecting) this.fail("maxConnecting holds", `${running} creators run in scope ${scope.key}`);
    const open = this.connections.filter((other) => other.scope === scope && this.#counts(other)).length;
    const most = Math.max(this.max, scope.mostSlots);
    if (running + open > most && !this.isShared)
      this.fail(
        "the server sees no more than the maximum",
        `${open} connections and ${running} creators in scope ${scope.key}, of at most ${most}`,
      );
    return opening;
  }

  /** Of callers that have waited side by side, the first one opens the next connection that they share. */
  #checkTurnOf(/** @type {Caller} */ caller, /** @type {Opening} */ opening) {
    const now = this.clock.elapsed;
    const waits = ({ askedIn, hasStarted, mayHaveStarted, wasAborted, askedAt, timeoutMs, deadlineMs } = caller) =>
      askedIn < this.turn &&
      !hasStarted &&
      !mayHaveStarted &&
      !wasAborted &&
      now < askedAt + Math.min(timeoutMs, deadlineMs);
    if (!waits()) return;
    const first = this.waiting.find((other) => other.scope === caller.scope && other.id < caller.id && waits(other));
    if (first !== undefined) this.#overtaken.push({ first, caller, opening });
  }

  /** A ping that takes too long says that every connection of the same age is not to be trusted. */
  #pingIsOver(/** @type {Connection | undefined} */ connection) {
    if (connection?.isBeingPinged) this.doubt();
  }

  /** Whether the caller waits for a creator. If openings are tried again, another follows one that was given up. */
  isOpening(/** @type {Caller} */ { opening }) {
    return opening?.isRunning === true && (!this.retries || this.#isTimely(opening));
  }

  /** Whether the pool has not given the opening up for its time. */
  #isTimely(/** @type {Opening} */ opening) {
    return opening.isRunning && this.clock.elapsed - opening.startedAt < this.openTimeoutMs;
  }

  /** Whether the connection counts against the maximum. */
  #counts(/** @type {Connection} */ connection) {
    const { isOpen, isDetached, isBeside, isLate, endsAt } = connection;
    return isOpen && !isDetached && !isBeside && !isLate && this.clock.elapsed - endsAt < this.driverTimeoutMs;
  }

  opened(/** @type {Opening} */ opening) {
    this.#answered(opening);
    const now = this.clock.elapsed;
    const isLate = now - opening.startedAt >= this.openTimeoutMs;
    const connection = new Connection(this.connections.length + 1, opening, now, isLate);
    connection.movedIn = this.turn;
    this.connections.push(connection);
    return connection;
  }

  #answered(/** @type {Opening} */ opening) {
    opening.isRunning = false;
    opening.answeredIn = this.turn;
    this.openings.delete(opening);
    this.#lastAnswered = [opening, ...this.#lastAnswered.filter(({ answeredIn }) => answeredIn === this.turn)];
  }

  openingFailed(/** @type {Opening} */ opening) {
    this.#answered(opening);
    this.failed(opening.scope);
  }

  /** An opening has failed, or was ended by its listeners. */
  failed(/** @type {Scope | undefined} */ scope) {
    if (scope !== undefined) scope.failedAt = this.clock.elapsed;
  }

  /** A connection is pinged, or shown to the checkout listeners, for a caller. */
  check(/** @type {Connection} */ connection, /** @type {Caller | undefined} */ caller, /** @type {boolean} */ isPing) {
    if (isPing) this.#checkPing(connection);
    // The share that the caller joins may not have arrived yet.
    const isJoined = connection.holders.size > 0 || (this.isShared && connection.movedIn === this.turn);
    connection.movedIn = this.turn;
    if (connection.holders.size === 0) {
      connection.token++;
      connection.phase = "checkout";
    }
    if (caller === undefined) return;
    if (isPing) caller.pinged = connection;
    if (isJoined) caller.joined = connection;
    // A connection that came back may serve it; then its opening goes on for the pool.
    caller.opening = undefined;
    if (caller.touched?.connection !== connection)
      caller.touched = { connection, turn: this.turn, at: this.clock.elapsed };
    this.start(caller, isPing ? "ping" : "checkout", connection);
  }

  #checkPing(/** @type {Connection} */ connection) {
    const idle = this.clock.elapsed - connection.releasedAt;
    // One that may be a suspect is pinged in any case.
    if (connection.uses > 0 && idle < this.pingAfterMs && !connection.mayBeStale)
      this.fail("prePingAfterIdle spares what was in use", `${connection.name} was idle for at most ${idle} ms`);
    const isLost = this.isShared && connection.endedIn === this.turn;
    if (connection.ends > 0 && !connection.isEmptied && !isLost)
      this.fail("no driver call on a closed connection", `${connection.name} is pinged`);
  }

  /** A connection is rolled back or committed. */
  reset(/** @type {Connection} */ connection) {
    connection.wantsReset = false;
    // The holders of a shared connection may lose it to one of them.
    if (connection.ends > 0 && !connection.isEmptied && !this.isShared)
      this.fail("no driver call on a closed connection", `${connection.name} is reset`);
  }

  /** The driver's close, or the termination, of a connection begins. */
  end(/** @type {Connection} */ connection, /** @type {boolean} */ isPolite, /** @type {Caller | undefined} */ caller) {
    if (++connection.ends > 1) this.fail("a connection is closed once", `${connection.name} is closed again`);
    // Its time may have begun before the process stood still.
    connection.endsAt = this.clock.elapsed - (this.#frozenIn === this.turn ? this.#frozenMs : 0);
    this.#pingIsOver(connection);
    // Two that did not come to rest say that others may be lost, too.
    if (connection.isBeingReset) this.doubt();
    // One that came back, and turned out to be stale, was to serve it. Its opening goes on for the pool.
    const isStale = !isPolite && connection.uses > 0 && !connection.isEmptied && !connection.isCondemned;
    if (caller?.opening?.isRunning && isStale) caller.opening = undefined;
    connection.endedIn = this.turn;
    connection.endedFor = caller;
    // Its listeners have refused it, or have taken too long.
    if (connection.uses === 0) this.failed(connection.scope);
    if (isPolite && connection.phase === "free") this.#checkReaping(connection);
  }

  #checkReaping(/** @type {Connection} */ connection) {
    const { scope, isEmptied, mayBeStale, disposedIn, releasedAt, mayGo } = connection;
    if (scope === undefined || isEmptied || mayBeStale || mayGo || disposedIn < Infinity) return;
    if (this.closedAt < Infinity || scope.hasEnded) return;
    // One more scope than poolSize has a connection: another scope gives its own up.
    if (this.kind === "SingletonThreadPool") return;
    const idleMs = this.clock.elapsed - releasedAt;
    if (idleMs < this.idleTimeoutMs)
      this.fail("an idle connection is kept until idleTimeout", `${connection.name} is closed after ${idleMs} ms`);
    const idle = this.connections.filter(
      (other) => (other.scope ?? scope) === scope && other.ends === 0 && other.holders.size === 0 && !other.isDetached,
    );
    if (idle.length < this.minIdle)
      this.fail("minIdle holds", `${connection.name} is closed, and ${idle.length} are left`);
    // Every caller that waits may have a slot. What is being closed, or comes back empty, is replaced after that.
    const isOf = (/** @type {{ scope: Scope | undefined }} */ one) => (one.scope ?? scope) === scope;
    const others = this.connections.filter((other) => isOf(other) && other !== connection);
    const isThere = (/** @type {Connection} */ { isOpen, isBeingReset, holders, returns }) =>
      isOpen || isBeingReset || holders.size + returns > 0;
    const open = others.filter((other) => isThere(other) && !other.isDetached).length;
    const slots = open + [...this.openings].filter(isOf).length + this.waiting.filter(isOf).length;
    if (slots < this.min) this.fail("min holds", `${connection.name} is closed, and ${slots} are left`);
  }

  /** A caller gives its lease back, or invalidates it. */
  release(/** @type {Lease} */ held) {
    const { connection } = held;
    const place = this.held.indexOf(held);
    if (place >= 0) this.held.splice(place, 1);
    connection.holders.delete(held);
    connection.token++;
    connection.movedIn = this.turn;
    if (connection.holders.size > 0 || held.isDetached) return;
    connection.phase = "returning";
    connection.releasedAt = this.clock.elapsed;
  }

  /** The return of a lease has ended. */
  returned(/** @type {Connection} */ connection, /** @type {number} */ token) {
    if (connection.phase !== "returning" || connection.token !== token || connection.ends > 0 || connection.returns > 0)
      return;
    if (connection.isEmptied || connection.isCondemned) return;
    // The return may go on without its caller.
    if (this.clock.elapsed - connection.releasedAt >= this.returnTimeoutMs) return;
    connection.phase = "free";
    connection.freeSince = this.clock.elapsed;
    connection.freeIn = this.turn;
  }

  /** Every connection and every opening is marked. */
  mark(/** @type {"staleIn" | "disposedIn"} */ turnOf) {
    for (const one of [...this.connections, ...this.openings]) one[turnOf] = Math.min(one[turnOf], this.turn);
    this.doubt();
  }

  /** Every connection of a scope that was opened before this one, and this one, is marked. */
  markAsOld(/** @type {Connection} */ connection) {
    const place = this.connections.indexOf(connection);
    this.doubt();
    for (const other of this.connections.slice(0, place + 1)) {
      const isOlder = other === connection || other.opening.turn < connection.opening.turn;
      if (isOlder && other.scope === connection.scope) other.staleIn = Math.min(other.staleIn, this.turn);
    }
  }

  /** Connections may have been marked that the model does not know. */
  doubt() {
    this.#doubtedIn = this.turn;
    for (const one of [...this.connections, ...this.openings]) one.mayBeStale = true;
  }

  empty(/** @type {Connection} */ connection) {
    connection.isEmptied = true;
    connection.emptiedIn = Math.min(connection.emptiedIn, this.turn);
    connection.mayBeStale = true;
    this.mayDisconnect = true;
    const { phase, scope } = connection;
    // One that is free may be reserved already: for the head waiter, which then waits for the place of a creator, or
    // for a caller that waits for its opening, which then calls another creator.
    const isWanted = (/** @type {Caller} */ caller) =>
      phase !== "lent" && caller.scope === scope && !caller.wasAborted && !isBeingServed(caller);
    const wanting = this.waiting.filter(isWanted);
    const head = wanting.find(({ hasStarted, mayHaveStarted }) => !hasStarted && !mayHaveStarted);
    if (head !== undefined) head.mayHaveStarted = true;
    // Its opening goes on for the pool.
    const opener = wanting.find(({ opening }) => opening?.isRunning);
    if (opener !== undefined) opener.opening = undefined;
    if (phase === "checkout" || wanting.length > 0) connection.isBeside = true;
  }

  /** The driver reports that the connection is dead: others may be pinged. The pool has not ended it yet. */
  die(/** @type {Connection} */ connection) {
    connection.staleIn = Math.min(connection.staleIn, this.turn);
    this.mayDisconnect = true;
    this.doubt();
  }

  /** Its death has ended it, and its lease. Those that share it keep the slot. */
  dead(/** @type {Connection} */ connection) {
    if (this.isShared) return;
    connection.isDead = true;
    for (const held of connection.holders) held.hasSlot = false;
  }

  close(/** @type {number} */ patienceMs, drains = false) {
    const { elapsed } = this.clock;
    if (this.closedAt < Infinity) {
      // A later close can only hasten the first.
      this.patienceMs = Math.min(this.patienceMs, elapsed + patienceMs - this.closedAt);
      this.drains &&= drains;
      return;
    }
    this.closedAt = elapsed;
    this.patienceMs = patienceMs;
    this.drains = drains;
    this.lastAdmitted = this.callerCount;
  }

  /** Whether callers that came before the close may still be served. */
  #isDraining() {
    const end = this.closedAt + this.patienceMs + lateness(this.patienceMs) + this.closeSlack;
    return this.drains && !this.isCloseOver && this.clock.elapsed <= end;
  }

  /** pool.close() has resolved. */
  closeEnded() {
    this.isCloseOver = true;
    if (this.isPatienceOver()) return;
    const isOut = (/** @type {Scope | undefined} */ scope) => scope?.hasEnded === false;
    const held = this.held.find(({ caller, isDetached, hasSlot }) => isOut(caller.scope) && !isDetached && hasSlot);
    if (held !== undefined) this.fail("close() waits for the leases", `${held.connection.name} is out`);
    const open = this.connections.find((connection) => isOut(connection.scope) && this.#counts(connection));
    if (open !== undefined) this.fail("close() waits for the connections", `${open.name} is open`);
  }

  /** The connections that are certainly idle: no caller is about to get one, and none is about to be closed. */
  idle() {
    if (this.isShared || this.closedAt < Infinity) return [];
    const wanted = new Set(this.waiting.map(({ scope }) => scope));
    return this.connections.filter(
      ({ phase, ends, isEmptied, mayBeStale, freeIn, scope }) =>
        phase === "free" &&
        ends === 0 &&
        !isEmptied &&
        !mayBeStale &&
        freeIn < this.turn &&
        !wanted.has(/** @type {Scope} */ (scope)),
    );
  }

  /** These connections were idle, and have ended by now. */
  checkEnded(/** @type {Connection[]} */ connections, /** @type {string} */ what) {
    const open = connections.find((connection) => this.#counts(connection));
    if (open !== undefined) this.fail(`${what} resolves when what was idle is closed`, `${open.name} is open`);
  }

  isPatienceOver() {
    return this.clock.elapsed >= this.closedAt + this.patienceMs;
  }

  /** The process stood still for so long: nothing could end in time, and the pool has patience after that. */
  freeze(/** @type {number} */ frozenMs) {
    const ms = frozenMs + patience(frozenMs);
    this.#patientUntil = Math.max(this.#patientUntil, this.clock.elapsed + patience(frozenMs));
    this.#disturbedAt = this.clock.elapsed;
    this.#frozenMs = ms + (this.#frozenIn === this.turn ? this.#frozenMs : 0);
    this.#frozenIn = this.turn;
    for (const caller of this.waiting) caller.slack += ms;
    for (const opening of this.openings) opening.slack += ms;
    for (const connection of this.connections) {
      connection.freeSince += ms;
      // The pool may not have noticed that the creator has answered.
      if (connection.openedAt < this.turnBegan) continue;
      connection.openedAt += ms;
      connection.isLate ||= connection.openedAt - connection.opening.startedAt >= this.openTimeoutMs;
    }
    this.closeSlack += ms;
  }

  /** So much time has passed that the pool has not seen. */
  lose(/** @type {number} */ ms) {
    this.freeze(ms);
    for (const connection of this.connections) if (connection.openedAt < this.turnBegan) connection.openedAt += ms;
  }

  // ---- what must hold while nothing moves

  /** The callers that are in the queue of a scope, and those that may be. */
  #queue(/** @type {Scope} */ scope) {
    const all = this.waiting.filter((caller) => caller.scope === scope && !caller.hasStarted);
    return { all, certain: all.filter(({ mayHaveStarted }) => !mayHaveStarted) };
  }

  /** Checks what callers and the server can see. */
  checkCallers() {
    const now = this.clock.elapsed;
    for (const caller of this.waiting) {
      const { name, scope, askedAt, slack, deadlineMs, opening } = caller;
      // use() may have a lease that was lost to another holder, and give it back.
      const isLost = this.kind === "SingletonThreadPool" && caller.mayHaveStarted;
      if (caller.wasAborted && !isLost) this.fail("an aborted caller is settled", `${name} still waits`);
      const isAdmitted = this.closedAt === Infinity || (this.#isDraining() && caller.id <= this.lastAdmitted);
      if ((!isAdmitted || scope.hasEnded) && !isLost)
        this.fail("close() and endScope() refuse the waiters", `${name} still waits`);
      if (now > askedAt + deadlineMs + lateness(deadlineMs) + slack && !isLost)
        this.fail("a deadline ends", `${name} still waits ${now - askedAt} ms after its call, of ${deadlineMs}`);
      const { openTimeoutMs } = this;
      const isOverdue =
        opening?.isRunning && now > opening.startedAt + openTimeoutMs + lateness(openTimeoutMs) + opening.slack;
      if (isOverdue && !this.retries) this.fail("openTimeout ends an opening", `${name} still waits for its creator`);
      if (caller.hasStarted || caller.mayHaveStarted) continue;
      // Callers that share a connection are served side by side, and may lose it before they have it.
      if (caller.id < scope.lastServed && !this.isShared)
        this.fail("no caller overtakes another", `${name} waits, and caller ${scope.lastServed} was served`);
      const ms = Math.min(caller.timeoutMs, deadlineMs);
      if (now > askedAt + ms + lateness(ms) + slack)
        this.fail("a caller waits no longer than its time", `${name} waits for ${now - askedAt} ms, of ${ms}`);
    }
    for (const { first, caller } of this.#overtaken)
      this.fail("no caller overtakes another", `${first.name} waits, and the creator is called for ${caller.name}`);
    if (this.closedAt < Infinity && !this.isCloseOver) {
      const late = now - (this.closedAt + this.patienceMs + lateness(this.patienceMs) + this.closeSlack);
      if (late > 0) this.fail("close() ends with its patience", `it is ${late} ms late`);
    }
    this.#checkIdle();
  }

  #checkIdle() {
    // What had to go because the pool shrank is on its way.
    for (const connection of this.connections)
      if (connection.ends === 0 && !connection.hasLeft) connection.mayGo = false;
    if (this.closedAt < Infinity) return;
    const now = this.clock.elapsed;
    /** @type {Map<Scope, Connection[]>} */
    const idle = new Map();
    for (const connection of this.connections) {
      const { scope, phase, ends, isEmptied, mayBeStale } = connection;
      if (scope === undefined || scope.hasEnded || phase !== "free" || ends > 0 || isEmptied || mayBeStale) continue;
      if (this.#isBeingJoined(connection)) continue;
      const others = idle.get(scope);
      if (others === undefined) idle.set(scope, [connection]);
      else others.push(connection);
    }
    for (const [scope, connections] of idle) {
      const [waiter] = this.#queue(scope).certain;
      const usable = connections.filter(({ openedFirst }) => now - openedFirst < this.recycleMs * this.#youngest);
      if (waiter !== undefined && usable.length > 0)
        this.fail("no caller waits beside an idle connection", `${waiter.name} waits beside ${usable[0].name}`);
      const opener = this.waiting.find((caller) => caller.scope === scope && caller.opening?.isRunning === true);
      if (opener?.lastCall?.call === "creator" && !this.isShared) {
        // A caller whose connection was lost has another one in the same slot, whatever was idle at that time.
        const { opening, touched } = opener;
        const isMissed = ({ freeIn = Infinity }) => touched === undefined || freeIn > (opening?.turn ?? 0);
        const missed = usable.find(isMissed);
        if (missed !== undefined)
          this.fail("no caller waits for an opening beside an idle connection", `${opener.name} beside ${missed.name}`);
      }
      if (connections.length > this.mostIdle)
        this.fail("no more are kept than poolSize", `${connections.length} are idle`);
      const ms = this.idleTimeoutMs;
      const overdue = connections.find((connection) => now > connection.freeSince + ms + lateness(ms));
      const open = this.connections.filter((other) => other.scope === scope && this.#isKept(other)).length;
      if (overdue !== undefined && connections.length > this.minIdle && open > this.min)
        this.fail(
          "idleTimeout ends an idle connection",
          `${overdue.name} is idle since ${overdue.freeSince}, beside ${connections.length - 1} others`,
        );
    }
    const kept = [...idle.values()].reduce((sum, { length }) => sum + length, 0);
    if (this.kind === "SingletonThreadPool" && kept > this.options.poolSize)
      this.fail("no more scopes keep a connection than poolSize", `${kept} do`);
  }

  /** Whether the connection is certainly one of those that the pool keeps. */
  #isKept(/** @type {Connection} */ { ends, hasLeft, isEmptied, isDetached, isLate }) {
    return ends === 0 && !hasLeft && !isEmptied && !isDetached && !isLate;
  }

  /** The part of `recycle` at which a connection may be due already. */
  get #youngest() {
    return 1 - (this.options.recycleJitter ?? 0);
  }

  /** Compares the gauges of one scope. `isAtRest`: no callback of the program is on its way. */
  checkGauges(/** @type {Scope} */ scope, /** @type {any} */ stats, /** @type {boolean} */ isAtRest) {
    const { total, idle, used, opening, closing, waiting, max } = stats;
    const say = () => JSON.stringify({ total, idle, used, opening, closing, waiting, max });
    const wrong = (/** @type {string} */ what) => this.fail(`stats(): ${what}`, `${say()} in scope ${scope.key}`);
    const { all, certain } = this.#queue(scope);
    if (total !== idle + used + opening + closing) wrong("total is the sum of its parts");
    if (max !== this.max) wrong("max is poolSize + maxOverflow");
    if (total > Math.max(this.max, scope.mostSlots) && !this.isShared) wrong("total is at most max");
    scope.mostSlots = total > this.max ? total : 0;
    // A caller that shares may have to queue again.
    const most = this.isShared ? this.waiting.filter((caller) => caller.scope === scope).length : all.length;
    if (waiting < certain.length || waiting > most) wrong(`waiting is ${certain.length}`);
    const late = [...this.openings].filter((other) => other.scope === scope && !this.#isTimely(other)).length;
    const isExhausted = late + opening >= this.#mostCreators;
    const mayOpen = opening < this.maxConnecting && !isExhausted && !this.retries;
    if (waiting > 0 && total < this.max && mayOpen) wrong("no caller waits beside a free place");
    const held = this.held.filter((lease) => lease.caller.scope === scope && !lease.isDetached && lease.hasSlot);
    const slots = this.isShared ? Math.min(held.length, 1) : held.length;
    if (!this.isPatienceOver() && used < slots) wrong(`used is at least ${slots}`);
    if (!isAtRest || this.isPatienceOver()) return;
    if (!this.isShared && used !== slots) wrong(`used is ${slots} at rest`);
    // A caller that waits for another attempt keeps its place.
    if ((this.retries ? 0 : opening) + closing !== 0) wrong("nothing opens or closes at rest");
    if (this.isShared && waiting > 0 && !this.retries) wrong("no caller waits for a connection that it may share");
    const isFilled = scope.isFilled && !isExhausted && this.closedAt === Infinity && this.#hasRetried(scope);
    if (isFilled && waiting === 0 && idle + used < this.min) wrong(`min is ${this.min}`);
  }

  /** Whether an opening that failed was tried again since: half a minute later at most, as the clock shows it. */
  #hasRetried(/** @type {Scope} */ { failedAt }) {
    return this.clock.elapsed > Math.max(failedAt, this.#disturbedAt) + 32_000;
  }

  /** Checks the gauges of a scope that has not begun. */
  checkZeros(/** @type {any} */ { total, waiting, detached }) {
    if (total + waiting + detached > 0 && this.closedAt === Infinity)
      this.fail("stats(): a scope that has not begun has zeros", JSON.stringify({ total, waiting, detached }));
  }

  /** Compares the counters, and what is detached, of the pool. */
  checkCounters(/** @type {any} */ stats, /** @type {boolean} */ isAtRest) {
    const wrong = (/** @type {string} */ name, /** @type {unknown} */ right) =>
      this.fail(`stats(): ${name} is right`, `${name} is ${stats[name]}; the model has ${right}`);
    const { opened, openFailed, checkouts, waited, timedOut, aborted, recycled, invalidated, leaked } = stats;
    const counters = { opened, openFailed, checkouts, waited, timedOut, aborted, recycled, invalidated, leaked };
    for (const [name, count] of Object.entries(counters))
      if (count < (this.#counters?.[name] ?? 0)) wrong(name, `${this.#counters?.[name]} before`);
    this.#counters = counters;
    // use() ends a lease that was lost to another holder before its promise is settled.
    const late = this.kind === "SingletonThreadPool" ? this.waiting.length : 0;
    if (checkouts < this.arrivals || checkouts > this.arrivals + late) wrong("checkouts", this.arrivals);
    if (timedOut !== this.timedOut) wrong("timedOut", this.timedOut);
    if (aborted < this.aborted || aborted > this.aborted + this.abortedEarly) wrong("aborted", this.aborted);
    if (leaked !== 0) wrong("leaked", 0);
    if (waited > this.callerCount) wrong("waited", `${this.callerCount} callers`);
    const ended = this.creatorCalls - this.openings.size;
    const abandoned = [...this.openings].filter((opening) => !this.#isTimely(opening)).length;
    if (opened + openFailed < ended || opened + openFailed > ended + abandoned)
      wrong("opened", `${ended} answered openings, and ${openFailed} failed`);
    if (opened > this.connections.length) wrong("opened", this.connections.length);
    if (!isAtRest) return;
    const detached = this.held.filter((held) => held.countsAsDetached).length;
    if (stats.detached !== detached) wrong("detached", detached);
  }
}

/** Whether a connection that has not ended is pinged or shown to the checkout listeners for the caller. */
function isBeingServed(/** @type {Caller} */ { opening, touched }) {
  if (opening !== undefined || touched === undefined) return false;
  const { ends, hasLeft, isEmptied } = touched.connection;
  return ends === 0 && !hasLeft && !isEmptied;
}

function maxOf(/** @type {string} */ kind, /** @type {Record<string, any>} */ { poolSize = 5, maxOverflow = 10 }) {
  if (kind === "NullPool") return Infinity;
  if (kind !== "QueuePool") return 1;
  return poolSize === 0 || maxOverflow === -1 ? Infinity : poolSize + maxOverflow;
}

function mostIdleOf(/** @type {string} */ kind, /** @type {Record<string, any>} */ { poolSize = 5 }) {
  if (kind === "NullPool") return 0;
  if (kind !== "QueuePool") return 1;
  return poolSize === 0 ? Infinity : poolSize;
}

export function describe(/** @type {any} */ error) {
  return error instanceof Error ? `${error.name}: ${error.message}` : (error?.name ?? String(error));
}
