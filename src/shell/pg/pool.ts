/**
 * The members of pg.Pool over a {@link QueuePool}, whichever driver the clients are of. That pool decides which caller
 * gets which client. This file passes clients, callbacks, events and errors on in the manner of pg.Pool.
 */

import { EventEmitter } from "node:events";
import {
  PoolClosedError,
  PoolTimeoutError,
  QueuePool,
  type OpeningContext,
  type PooledConnection,
  type PoolLogger,
} from "edgepool";
import { dialectFor, guard, loanOf, type Client, type ClientClass, type ClientOwner, type Loan } from "./client.js";
import { connected } from "./connecting.js";
import { Pipeline } from "./pipeline.js";
import { isShareable } from "./shareable.js";
import {
  completed,
  duration,
  haveChanged,
  limitsOf,
  queueLimits,
  queueOptions,
  type Limits,
  type Options,
} from "./settings.js";

type Callback = (error?: unknown, ...given: any[]) => void;
type Release = (error?: unknown) => void;

/** What programs compare the messages of errors with. */
const messages = {
  waited: "timeout exceeded when trying to connect",
  opened: "Connection terminated due to connection timeout",
  ended: "Cannot use a pool after calling end on the pool",
  endedTwice: "Called end on pool more than once",
  released: "Release called on client which has already been released to the pool.",
  notAQuery: "Passing a function as the first parameter to pool.query is not supported",
};

/** Of a client that does not get an answer within its own `connectionTimeoutMillis`. */
const clientTimedOut = "timeout expired";

/** How long end() waits for clients that are out. */
const endTimeoutMillis = 30_000;

const nothing = (): void => {};

export class BasePool extends EventEmitter {
  /** As given, completed. Numbers may be changed, and what the clients read. */
  options: Options;
  Client: ClientClass;
  Promise: PromiseConstructor;
  log: (...messages: unknown[]) => void;
  readonly #queue: QueuePool<Client>;
  /** The limits that the pool behind has, as they were last read. */
  #limits: Limits;
  readonly #timeout: unknown;
  /** The clients that are out, if the pool has to know their age. */
  readonly #out = new Set<Loan["opened"]>();
  /** Those that are open or connect. What Workers leave of a request is collected. */
  #made: Array<WeakRef<Client>> = [];
  /** How many clients are ending because they were given back as unfit. */
  #unfit = 0;
  /** How many clients have died at their borrowers. */
  #lost = 0;
  /** Runs the queries that may share a client. */
  readonly #pipeline: Pipeline | undefined;
  /** How many callers of connect(), and of queries that share no client, wait. */
  #asking = 0;
  #end: Promise<void> | undefined = undefined;
  #ended = false;

  constructor(given: unknown, DefaultClient?: ClientClass) {
    super();
    const options = (this.options = completed(given));
    const Class = options.Client ?? DefaultClient;
    if (typeof Class !== "function") throw new TypeError("the pool needs the option Client: a class of clients");
    this.Client = Class;
    this.Promise = options.Promise ?? Promise;
    this.log = options.log ?? nothing;
    this.#limits = limitsOf(options);
    this.#timeout = options.connectionTimeoutMillis;
    this.#pipeline =
      options.pipeline === true
        ? new Pipeline({
            lend: () => this.#take(undefined),
            isLent: (client) => loanOf(client).lease?.isValid === true,
            areAsking: () => this.#asking > 0,
          })
        : undefined;
    const settings = queueOptions(options, this.#logger);
    const owner: ClientOwner = {
      removed: (client) => {
        this.#forget(client);
        this.#notify("remove", client);
      },
      died: (error, client) => this.#mourn(error, client),
      lost: (client) => {
        loanOf(client).isLost = true;
        this.#lost++;
      },
    };
    this.#queue = new QueuePool<Client>((_record, opening) => this.#open(opening), {
      dialect: dialectFor(owner),
      ...settings,
    });
  }

  /** The pool behind this one, for its stats, events and status. */
  get queuePool(): QueuePool<Client> {
    return this.#queue;
  }

  /** As in pg a client that has died counts until its release, though its slot is free. */
  get totalCount(): number {
    const { idle, used, opening, returning } = this.#queue.stats();
    const open = idle + used - this.#endingOf(returning) + opening;
    return Math.max(open, Math.min(open + this.#lost, this.options.max));
  }

  /** The clients that are open or connect, as programs read them of pg.Pool. */
  get _clients(): Client[] {
    return this.#made.map((made) => made.deref()).filter((client) => client !== undefined);
  }

  #forget(client: Client): void {
    this.#made = this.#made.filter((made) => ![client, undefined].includes(made.deref()));
  }

  /** A client on its way back counts as idle: pg resets nothing. */
  get idleCount(): number {
    const { idle, returning } = this.#queue.stats();
    return idle + returning - this.#endingOf(returning);
  }

  /** How many clients on their way back were given back as unfit: pg counts these no more. */
  #endingOf(returning: number): number {
    return Math.min(returning, this.#unfit);
  }

  get waitingCount(): number {
    return this.#queue.stats().waiting;
  }

  /** The clients that are out and older than `maxLifetimeSeconds`. */
  get expiredCount(): number {
    const oldest = Date.now() - this.options.maxLifetimeSeconds * 1000;
    return [...this.#out].filter(({ at }) => at <= oldest).length;
  }

  get ending(): boolean {
    return this.#end !== undefined;
  }

  get ended(): boolean {
    return this.#ended;
  }

  connect(given?: Callback | { signal?: AbortSignal }): unknown {
    if (typeof given === "function") return void call(this.#connect(undefined), given, lent, refused);
    return this.#own(this.#connect(given?.signal));
  }

  #connect(signal: AbortSignal | undefined): Promise<Client> {
    if (this.#pipeline === undefined) return this.#take(signal);
    this.#asking++;
    return this.#take(signal).finally(() => this.#asking--);
  }

  #take(signal: AbortSignal | undefined): Promise<Client> {
    return this.#lease(signal).then(this.#lent, refuse);
  }

  readonly #lent = (lease: PooledConnection<Client>): Client => this.#lend(lease);

  #lease(signal: AbortSignal | undefined): Promise<PooledConnection<Client>> {
    const queue = this.#queue;
    if (this.#end !== undefined) return Promise.reject(new PoolClosedError(queue.loggingName, messages.ended));
    try {
      if (haveChanged(this.#limits, this.options)) this.#applyLimits();
    } catch (error) {
      return Promise.reject(error);
    }
    const timeout = this.options.connectionTimeoutMillis;
    const hasChanged = timeout !== this.#timeout;
    if (signal === undefined && !hasChanged) return queue.connect();
    return queue.connect({ signal, ...(hasChanged && { deadline: duration(timeout) ?? null }) });
  }

  #lend(lease: PooledConnection<Client>): Client {
    const client = lease.connection;
    const loan = loanOf(client);
    const { options } = this;
    loan.lease = lease;
    loan.isOut = true;
    client.release = (error?: unknown) => {
      // Also if another caller has it: a lease is lent once.
      if (loan.lease !== lease) throw new Error(messages.released);
      this.#takeBack(client, loan, lease, error);
    };
    if (options.maxLifetimeSeconds > 0) this.#out.add(loan.opened);
    if (options.allowExitOnIdle) client.ref?.();
    this.#notify("acquire", client);
    return client;
  }

  #takeBack(client: Client, loan: Loan, lease: PooledConnection<Client>, error: unknown): void {
    const { options } = this;
    try {
      if (haveChanged(this.#limits, options)) this.#applyLimits();
    } catch (wrong) {
      this.#report(wrong);
    }
    this.#notify("release", error, client);
    loan.lease = undefined;
    loan.isOut = false;
    this.#out.delete(loan.opened);
    if (loan.isLost) this.#lost--;
    loan.isLost = false;
    if (++loan.uses >= options.maxUses) this.log("remove expended client");
    const isUnfit = Boolean(error) || client._ending === true || client._queryable === false;
    if (isUnfit && lease.isValid) {
      loan.isUnfit = true;
      this.#unfit++;
      const end = lease.invalidate(error === true ? undefined : error);
      end.catch(this.#report).finally(() => this.#unfit--);
    } else {
      lease.close().catch(this.#report);
      if (options.allowExitOnIdle) client.unref?.();
    }
  }

  /** Opens a client, and passes it through the user's own steps. */
  async #open(opening: OpeningContext): Promise<Client> {
    let client: Client | undefined;
    const made = (connecting: Client): void => {
      client = connecting;
      this.#made.push(new WeakRef(client));
    };
    this.log("connecting new client");
    try {
      return await this.#prepare(await connected(this.Client, this.options, opening, made));
    } catch (error) {
      if (client !== undefined) this.#forget(client);
      throw error;
    }
  }

  async #prepare(client: Client): Promise<Client> {
    const { options } = this;
    this.log("new client connected");
    guard(client, this.#queue.loggingName);
    Object.defineProperty(client, Symbol.dispose, { value: () => disposeOf(client), configurable: true });
    try {
      await options.onConnect?.(client);
      // All of them at once, as emit() does. What they return is awaited, so that a client is ready when it is lent.
      await Promise.all(this.rawListeners("connect").map((listener) => Reflect.apply(listener, this, [client])));
      if (options.verify !== undefined) await verified(client, options.verify);
    } catch (error) {
      await client.end().catch(nothing);
      throw error;
    }
    loanOf(client).isOut = false;
    if (options.allowExitOnIdle) client.unref?.();
    return client;
  }

  query(text?: any, values?: unknown, callback?: Callback): unknown {
    if (typeof text === "function") return void call(Promise.reject(new Error(messages.notAQuery)), text as Callback);
    if (typeof values === "function") [values, callback] = [undefined, values as Callback];
    const answer = this.#query(text, values);
    return callback === undefined ? this.#own(answer) : void call(answer, callback);
  }

  #query(text: any, values: unknown): Promise<unknown> {
    if (this.#pipeline !== undefined && isShareable(text)) {
      if (this.#end === undefined) return this.#pipeline.query(text, values);
      return Promise.reject(new PoolClosedError(this.#queue.loggingName, messages.ended));
    }
    const isSubmittable = typeof text?.submit === "function";
    const signal = isSubmittable ? undefined : (text?.signal as AbortSignal | undefined);
    return new Promise((resolve, reject) => {
      const run = (client: Client): void => {
        const release = client.release as Release;
        let isOver = false;
        const end = (error: unknown, isUnfit: boolean, result?: unknown): void => {
          if (isOver) return;
          isOver = true;
          signal?.removeEventListener("abort", abort);
          release(isUnfit ? (error ?? true) : undefined);
          if (isUnfit) reject(error);
          else resolve(result);
        };
        const abort = (): void => end(signal?.reason, true);
        const answered: Callback = (error, result: unknown) => end(error, Boolean(error), result);
        signal?.addEventListener("abort", abort);
        try {
          this.log("dispatching query");
          if (isSubmittable) submit(client, text as Submittable, answered);
          else client.query(text, values, answered);
        } catch (error) {
          end(error, true);
        }
      };
      if (this.#pipeline !== undefined) return void this.#connect(signal).then(run, reject);
      // Without a promise between the lease and the query.
      this.#lease(signal).then(
        (lease) => run(this.#lend(lease)),
        (error: unknown) => reject(worded(error)),
      );
    });
  }

  /** Serves the callers that came before, waits for the clients that are out, and ends them at the end of its time. */
  end(given?: Callback | { timeoutMillis?: number }): unknown {
    const isCallback = typeof given === "function";
    const limit = isCallback ? undefined : given?.timeoutMillis;
    const answer =
      this.#end === undefined
        ? this.#close(limit ?? this.options.endTimeoutMillis ?? endTimeoutMillis)
        : Promise.reject(new Error(messages.endedTwice));
    return isCallback ? void call(answer, given, () => []) : this.#own(answer);
  }

  #close(milliseconds: number): Promise<void> {
    return (this.#end = this.#queue.close({ drain: true, timeout: `${Number(milliseconds)}ms` }).then(
      () => {
        this.#ended = true;
      },
      (error: unknown) => {
        this.#end = undefined;
        throw error;
      },
    ));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end ?? (this.end() as Promise<void>);
  }

  /** The user has changed the options. */
  #applyLimits(): void {
    const limits = limitsOf(this.options);
    // A wrong one is refused once.
    this.#limits = limits;
    this.#queue.resize(queueLimits(limits));
  }

  /** Returns a promise of the class that the user asked for. */
  #own<T>(promise: Promise<T>): Promise<T> {
    const Own = this.Promise;
    return Own === Promise ? promise : new Own<T>((resolve, reject) => void promise.then(resolve, reject));
  }

  /** A client has died while no one had it. Without a listener `error` would end the process. */
  #mourn(error: unknown, client: Client): void {
    try {
      (error as { client?: unknown }).client = client;
    } catch {
      // A frozen error has none.
    }
    if (this.listenerCount("error") > 0) this.#notify("error", error, client);
    else this.log("an idle client has died", error);
  }

  /** An error of a listener must not disturb a checkout or a return. */
  #notify(event: string, ...given: unknown[]): void {
    try {
      this.emit(event, ...given);
    } catch (error) {
      this.#report(error);
    }
  }

  readonly #report = (error: unknown): void => {
    const line = `pool ${this.#queue.loggingName}: a listener, or the return of a client, failed`;
    if (this.log === nothing) console.error(line, error);
    else this.log(line, error);
  };

  /** Without `log` pg.Pool writes nothing. A warning is for the program's author. */
  readonly #logger: PoolLogger = {
    debug: (message) => this.log(message),
    info: (message) => this.log(message),
    warn: (message) => (this.log === nothing ? console.warn(message) : this.log(message)),
    error: (message, error) => this.log(message, error),
  };

  static {
    // Minifiers change the name of a class, and Drizzle looks for "Pool" in it.
    Object.defineProperty(this, "name", { value: "Pool" });
  }
}

/** Gives a callback what a promise gives. What the callback throws is an uncaught exception, as in pg. */
function call<T>(
  promise: Promise<T>,
  callback: Callback,
  given: (value: T) => unknown[] = (value) => [undefined, value],
  otherwise: (error: unknown) => unknown[] = (error) => [error],
): void {
  promise.then(
    (value) => queueMicrotask(() => Reflect.apply(callback, undefined, given(value))),
    (error: unknown) => queueMicrotask(() => Reflect.apply(callback, undefined, otherwise(error))),
  );
}

/** What the callback of connect() gets. */
const lent = (client: Client): unknown[] => [undefined, client, client.release];
const refused = (error: unknown): unknown[] => [error, undefined, nothing];

function disposeOf(client: Client): void {
  if (loanOf(client).lease !== undefined) client.release?.();
}

function verified(client: Client, verify: NonNullable<Options["verify"]>): Promise<void> {
  return new Promise((resolve, reject) => verify(client, (error) => (error ? reject(error) : resolve())));
}

interface Submittable {
  submit: Function;
  callback?: unknown;
}

/** Runs a query object. A cursor and a stream call no callback: they are over when the client has nothing to do. */
function submit(client: Client, query: Submittable, answered: Callback): void {
  const { callback } = query;
  query.callback = (error?: unknown, result?: unknown) => {
    if (typeof callback === "function") Reflect.apply(callback, query, [error, result]);
    answered(error, result);
  };
  client.once("drain", () => answered());
  client.query(query);
}

function refuse(error: unknown): never {
  throw worded(error);
}

/** Gives the errors of a checkout the messages of pg.Pool. The class, the code and the pool's numbers are ours. */
function worded(error: unknown): unknown {
  if (error instanceof PoolClosedError) return new PoolClosedError(error.pool, messages.ended);
  if (error instanceof PoolTimeoutError) {
    const message = error.step === "wait" ? messages.waited : messages.opened;
    return new PoolTimeoutError(message, error.pool, error, { cause: error });
  }
  if ((error as Error | undefined)?.message === clientTimedOut) return new Error(messages.opened, { cause: error });
  return error;
}
