/**
 * Runs the operations of one driver: each through its steps, in its caller's stack as long as everything that is called
 * answers at once; wakes those that sleep; hands out what a call into the policy made ready for others. What the next step
 * is, and who is served, is decided in src/policy; how a step is performed, in steps.ts.
 */

import type { Books } from "./books.js";
import type { Callers } from "./callers.js";
import type { PoolClock } from "./clock.js";
import { DisconnectionError, InvalidRequestError } from "./errors.js";
import { Flow, type Answer } from "./flow.js";
import { crash, crashError, hasCrashed, watch } from "./instance.js";
import type { Lender } from "./lender.js";
import type { Limits, Settings } from "./options.js";
import { Code, handleMask, indexMask, noNews, Outcome, Refusal } from "./protocol.js";
import type { Held, Slot } from "./record.js";
import type { Refusals } from "./refusal.js";
import type { Steps } from "./steps.js";
import type { Timer } from "./timer.js";

/** What the operations of one driver are run with. */
export interface OperationsParts<C> {
  readonly books: Books;
  readonly settings: Settings<C>;
  readonly clock: PoolClock;
  readonly slots: Slot<C>[];
  readonly steps: Steps<C>;
  readonly timer: Timer;
  readonly callers: Callers<C>;
  readonly lender: Lender<C>;
  readonly refusals: Refusals<C>;
  /** Whether all of it belongs to an I/O context. */
  readonly isBound: boolean;
}

export class Operations<C> {
  readonly #books: Books;
  readonly #settings: Settings<C>;
  readonly #clock: PoolClock;
  readonly #slots: Slot<C>[];
  readonly #steps: Steps<C>;
  readonly #timer: Timer;
  readonly #callers: Callers<C>;
  readonly #lender: Lender<C>;
  readonly #refusals: Refusals<C>;
  readonly #isBound: boolean;
  /** By index of operation: the flow that performs its steps. */
  readonly #flows: (Flow<C> | undefined)[] = [];

  constructor({ books, settings, clock, slots, steps, timer, callers, lender, refusals, isBound }: OperationsParts<C>) {
    this.#books = books;
    this.#settings = settings;
    this.#clock = clock;
    this.#slots = slots;
    this.#steps = steps;
    this.#timer = timer;
    this.#callers = callers;
    this.#lender = lender;
    this.#refusals = refusals;
    this.#isBound = isBound;
  }

  // ---- one operation

  /** Makes the flow that will perform the operation's steps. */
  begin(operation: number, limits: Limits | undefined): Flow<C> {
    const flow = new Flow<C>(operation, limits);
    this.#flows[operation & indexMask] = flow;
    return flow;
  }

  /** The flow of an operation, where it has one. */
  flowOf(operation: number): Flow<C> | undefined {
    const flow = this.#flows[operation & indexMask];
    // One that was aborted while it slept may still be found at the place of its operation.
    return flow?.operation === operation ? flow : undefined;
  }

  /** Performs the step `first` and all that follow. */
  run(flow: Flow<C>, first: number): void {
    this.#perform(flow, first);
    // Only now: a timer for a step that was over at once would be set in vain. News may have come of the first step, too,
    // which no answer of ours brought about.
    if (this.#books.wasm.has_news(this.#books.number) !== 0) this.afterwards();
  }

  /** The same from a step on that was begun without a flow and gave `answer`, or from the one after it. */
  goOn(flow: Flow<C>, step: number, answer: Answer | undefined): void {
    flow.answer = answer;
    this.#handOut();
    this.run(flow, step);
  }

  #perform(flow: Flow<C>, first: number): void {
    let step = first;
    for (;;) {
      if (step >= 0) {
        this.#end(flow);
        flow.resolve(flow.lease ?? this.#lender.leaseFor(step & handleMask, flow.limits));
        return;
      }
      const code = ~step & 15;
      const argument = ~step >> 4;
      switch (code) {
        case Code.Wait:
          this.#awaitResume(flow);
          return;
        case Code.Done:
          this.#end(flow);
          flow.lease?.revoke();
          flow.resolve(undefined as never);
          return;
        case Code.Share:
          this.#end(flow);
          flow.resolve(flow.lease ?? this.#lender.share((this.#slots[argument] as Slot<C>).held as Held<C>, flow));
          return;
        case Code.Reject: {
          const limits = this.#callers.forget(flow.operation & indexMask);
          // An opening that timed out keeps its operation until the creator has answered.
          if (argument !== Refusal.OpenTimeout) this.#end(flow);
          flow.lease?.revoke();
          flow.reject(this.#refusalOf(flow, argument, limits));
          return;
        }
      }
      const result = this.#steps.perform(flow, code, argument);
      if (typeof result !== "number") {
        this.#sleep(flow, code, argument, result);
        return;
      }
      step = this.#advance(flow, result);
    }
  }

  #end(flow: Flow<C>): void {
    const index = flow.operation & indexMask;
    this.#callers.forget(index);
    if (this.#flows[index] === flow) this.#flows[index] = undefined;
  }

  #advance(flow: Flow<C>, outcome: Outcome): number {
    if (flow.limits?.startedAt !== undefined || this.#books.tellsTime) this.readClock();
    if (this.#settings.core.recycleJitter !== 0) this.#books.wasm.set_random(this.#books.number, Math.random());
    const step = this.#books.wasm.advance(this.#books.number, flow.operation, outcome);
    this.#handOut();
    return step;
  }

  readClock(): void {
    this.#books.wasm.read_clock(this.#books.number, this.#clock.now());
  }

  /** Sleeps until what was called answers or the policy's time for it has ended; what comes after that is late. */
  #sleep(flow: Flow<C>, code: number, argument: number, answer: PromiseLike<unknown>): void {
    let value: unknown;
    let isOver = false;
    let end: (outcome: Outcome) => void = () => {};
    const settled = new Promise<Outcome>((resolve) => {
      end = (outcome) => {
        isOver = true;
        resolve(outcome);
      };
    });
    const answered = (outcome: Outcome, late: Outcome) => (answer: unknown) => {
      if (isOver) return void settled.then(() => this.#late(flow, code, late, answer));
      value = answer;
      end(outcome);
    };
    const failed = answered(Outcome.Failed, Outcome.LateFailed);
    flow.wake = () => end(Outcome.TimedOut);
    try {
      Promise.resolve(answer).then(answered(Outcome.Ok, Outcome.LateOk), failed);
    } catch (error) {
      // A promise may have a `then` of its own, and that may throw.
      failed(error);
    }
    // Registered here, in the operation's own async context: so is all that it performs from now on.
    void settled.then((outcome) => {
      flow.wake = undefined;
      this.guard(flow, () => {
        const result =
          outcome === Outcome.TimedOut
            ? this.#steps.timedOut(flow, code, argument)
            : this.#steps.ended(flow, code, argument, outcome, value);
        this.run(flow, this.#advance(flow, result));
      });
    });
  }

  /** Sleeps without a step, until the policy has one for it; goes on in its own async context. */
  #awaitResume(flow: Flow<C>): void {
    void flow.sleep().then(() => {
      this.guard(flow, () => this.run(flow, this.#books.wasm.resume(this.#books.number, flow.operation)));
    });
  }

  /** After a time-out of its own the operation goes on; only an opening still wants to know what came of it. */
  #late(flow: Flow<C>, code: number, outcome: Outcome, value: unknown): void {
    if (code !== Code.Open) return;
    this.guard(flow, () => {
      flow.late = value as C;
      // A creator that answered nothing has left nothing to close.
      this.run(flow, this.#advance(flow, value === undefined || value === null ? Outcome.LateFailed : outcome));
    });
  }

  /** What the caller of a flow is told. */
  #refusalOf(flow: Flow<C>, refusal: number, limits: Limits | undefined): unknown {
    if (refusal === Refusal.Failed || (refusal === Refusal.ListenerTimeout && flow.error !== undefined))
      return flow.error;
    if (refusal !== Refusal.Disconnected) return this.#refusals.alone(refusal, limits ?? flow.limits);
    const { log, loggingName: pool } = this.#settings;
    log.info("reconnect attempts exhausted");
    this.#steps.invalidated(undefined);
    const cause = flow.disconnection ?? new DisconnectionError(undefined, {}, pool);
    return new InvalidRequestError(
      `the pool ${pool} found one connection after the other dead, and gave up; the cause is the last one's error`,
      pool,
      { cause },
    );
  }

  // ---- news for the others

  /** Hands out everything that the last call into the policy made ready, and sees to the timer. */
  afterwards(): void {
    do this.#handOut();
    while (this.#books.wasm.tick_wanted(this.#books.number) !== 0 && (this.tick(), true));
  }

  /** A crash is told to who waits. Not across I/O contexts, of which nothing may be kept: they find out by their timers. */
  tick(): void {
    const runs = this.#timer.tick();
    if (!this.#isBound) watch(this, runs);
  }

  #handOut(): void {
    this.#refusals.renew();
    const books = this.#books;
    // What is handed out may run somebody's code, and that may give the scope up: its number is asked for each time.
    for (let news: number; (news = books.wasm.next_news(books.number)) !== noNews;) {
      if (news >= 0) this.#notify(news, books.wasm.notice(books.number));
      // Nobody waits for a child; after a crash there is nothing to say.
      else this.#startChild(noNews - 1 - news).catch(() => {});
    }
  }

  #notify(operation: number, word: number): void {
    const index = operation & indexMask;
    if (word >= 0) {
      this.#callers.grant(index, this.#lender.leaseFor(word, this.#callers.limitsOf(index)));
      return;
    }
    const flow = this.flowOf(operation);
    switch (~word & 15) {
      case Code.Resume:
        if (flow === undefined) this.#resumeLater(operation);
        else flow.resume();
        return;
      case Code.Reject: {
        const refusal = ~word >> 4;
        const limits = this.#callers.limitsOf(index);
        const error =
          flow === undefined ? this.#refusals.together(refusal, limits) : this.#refusalOf(flow, refusal, limits);
        if (!this.#callers.refuse(index, error)) (flow ?? this.begin(operation, limits)).reject(error);
        this.#callers.forget(index);
        return;
      }
      case Code.Expire:
        flow?.wake?.();
        return;
      default:
        // The pool's close has ended, or that of a scope, for which nobody waits: then its place may be another's already.
        if (flow === undefined) return;
        this.#flows[index] = undefined;
        flow.resolve(undefined as never);
    }
  }

  /** A waiter has a slot, with something to do first: its flow begins when it wakes. */
  #resumeLater(operation: number): void {
    const index = operation & indexMask;
    const flow = this.begin(operation, this.#callers.limitsOf(index));
    this.#callers.resume(index, () => {
      const promise = flow.start();
      // Refused before it resumed: its operation has ended, and its index may be another's by now.
      if (flow.isSettled) {
        if (this.#flows[index] === flow) this.#flows[index] = undefined;
        return promise;
      }
      this.guard(flow, () => {
        if (flow.limits?.startedAt !== undefined || this.#books.tellsTime) this.readClock();
        this.run(flow, this.#books.wasm.resume(this.#books.number, operation));
      });
      return promise;
    });
  }

  #startChild(operation: number): Promise<unknown> {
    const flow = this.begin(operation, undefined);
    const promise = flow.start();
    this.guard(flow, () => this.run(flow, this.#books.wasm.resume(this.#books.number, operation)));
    return promise;
  }

  /** Starts every child; all of them are known before the first runs: a driver that re-enters the pool would start the rest, and nobody would wait. */
  startChildren(): Promise<unknown>[] {
    const children: number[] = [];
    for (let operation: number; (operation = this.#books.wasm.next_child(this.#books.number)) >= 0;)
      children.push(operation);
    return children.map((operation) => this.#startChild(operation));
  }

  // ---- what can go wrong

  /** Runs what calls the policy where no caller would see a throw. */
  guard(flow: Flow<C>, run: () => void): void {
    try {
      this.#books.assertAlive();
      run();
    } catch (trap) {
      flow.reject(this.crash(trap));
    }
  }

  /** A trap ends every pool. Anything else that got here is somebody else's throw: it is told, and the pool goes on. Answers what the caller is told. */
  crash(trap: unknown): unknown {
    if (this.#books.isGivenUp && !hasCrashed()) {
      const error = this.#books.givenUp();
      this.#refuseEveryone(() => error);
      return error;
    }
    if (!hasCrashed() && !(trap instanceof WebAssembly.RuntimeError)) {
      this.#settings.log.error("something that the pool called threw where nothing may throw", trap);
      return trap;
    }
    crash(trap);
    this.crashed();
    return crashError(this.#settings.loggingName);
  }

  /** The instance is dead: tells everyone who waits here. */
  crashed(): void {
    this.#refuseEveryone(() => crashError(this.#settings.loggingName));
  }

  #refuseEveryone(error: () => unknown): void {
    this.#timer.clear();
    this.#callers.refuseAll(error);
    this.#flows.forEach((flow) => flow?.reject(error()));
    this.#flows.length = 0;
  }
}
