/**
 * What the commands of a lease may have left in a session of Redis. No driver keeps it all, and Redis cannot be asked
 * without a round trip: so the dialects of Redis watch the commands that pass. A doubt counts as left.
 */

/** The kinds of subscription, by the command that makes one. */
export type Subscription = "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE";

/** What a command may do to its session. */
type Effect = "transaction" | "end" | "database" | "subscribe" | "state" | "client" | "hello" | "stuck";

const effects = new Map<string, Effect>(
  Object.entries({
    transaction: ["MULTI", "WATCH"],
    end: ["EXEC", "DISCARD"],
    database: ["SELECT"],
    subscribe: ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"],
    state: ["AUTH", "READONLY", "READWRITE", "ASKING", "SCRIPT"],
    client: ["CLIENT"],
    hello: ["HELLO"],
    // After these the driver and the server no longer agree, or the server has stopped to answer.
    stuck: ["MONITOR", "RESET", "QUIT", "SYNC", "PSYNC", "REPLCONF"],
  }).flatMap(([effect, names]) => names.map((name): [string, Effect] => [name, effect as Effect])),
);

/** The subcommands of CLIENT that change the session. */
const clientStates = new Set(["SETNAME", "SETINFO", "TRACKING", "CACHING", "NO-EVICT", "NO-TOUCH"]);

/** Commands that wait for other clients. */
const blocking = new Set([
  "BLPOP",
  "BRPOP",
  "BLMOVE",
  "BLMPOP",
  "BRPOPLPUSH",
  "BZPOPMIN",
  "BZPOPMAX",
  "BZMPOP",
  "WAIT",
  "WAITAOF",
]);

const textOf = (argument: unknown): string => String(argument).toUpperCase();

/** Returns whether this command waits for other clients. It may then take something for a caller that has gone. */
export function isBlocking(name: unknown, given: readonly unknown[]): boolean {
  const command = textOf(name);
  if (command === "XREAD" || command === "XREADGROUP") return given.some((argument) => textOf(argument) === "BLOCK");
  return blocking.has(command);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}

/** Returns whether Redis refuses an opening because it is full, or because it has just started. */
export function isUnavailable(error: unknown): boolean {
  return /^ERR max number of clients|^LOADING /.test(messageOf(error));
}

/** How a watched command ended. Called with no error if Redis answered with a value. */
export type Answered = (error?: unknown) => void;

export class RedisSession {
  /** A MULTI or a WATCH, unless Redis has answered that it is over. */
  hasTransaction = false;
  /** The database may be another one than that of the opening. */
  hasOtherDatabase = false;
  readonly subscriptions = new Set<Subscription>();
  /** What only a new connection is without: a name, another user. */
  readonly left = new Set<string>();
  /** The command after which the connection is of no use. */
  stuckBy: string | undefined = undefined;
  /** Changes with everything that is left: what is answered about an earlier state says nothing of a later one. */
  #version = 0;
  #isOwn = false;

  get isClean(): boolean {
    return !this.hasTransaction && !this.hasOtherDatabase && this.subscriptions.size === 0;
  }

  /** Sends commands of the dialect itself. */
  own<R>(send: () => R): R {
    this.#isOwn = true;
    try {
      return send();
    } finally {
      this.#isOwn = false;
    }
  }

  /** Notes a command that is about to be sent. Returns what is to be called with its answer, if that says something. */
  sends(name: unknown, given: readonly unknown[]): Answered | undefined {
    const command = textOf(name);
    const effect = effects.get(command);
    if (effect === undefined || this.#isOwn) return undefined;
    switch (effect) {
      case "transaction":
        this.#version++;
        this.hasTransaction = true;
        return undefined;
      case "end":
        return this.#ends();
      case "database":
        this.#version++;
        this.hasOtherDatabase = true;
        return undefined;
      case "subscribe":
        this.#version++;
        this.subscriptions.add(command as Subscription);
        return undefined;
      case "client":
        this.#client(textOf(given[0]));
        return undefined;
      case "hello":
        if (given.length > 0) this.stuckBy = command;
        return undefined;
      case "state":
        if (command !== "SCRIPT" || textOf(given[0]) === "DEBUG") this.left.add(command);
        return undefined;
      case "stuck":
        this.stuckBy = command;
        return undefined;
    }
  }

  #client(subcommand: string): void {
    if (subcommand === "REPLY") this.stuckBy = "CLIENT REPLY";
    if (clientStates.has(subcommand)) this.left.add(`CLIENT ${subcommand}`);
  }

  /** A refused EXEC leaves the transaction open, unless Redis says that it has discarded it. */
  #ends(): Answered {
    const version = this.#version;
    return (error) => {
      const isOver = error === undefined || (error instanceof Error && error.message.startsWith("EXECABORT"));
      if (isOver && version === this.#version) this.hasTransaction = false;
    };
  }

  /** Runs a reset of all of that. What is sent before its end counts as left. */
  async reset(send: () => Promise<void>): Promise<void> {
    const version = this.#version;
    await send();
    if (version !== this.#version) return;
    this.hasTransaction = false;
    this.hasOtherDatabase = false;
    this.subscriptions.clear();
  }

  /** Throws if something is left that only a new connection is without. */
  assertNothingLeft(): void {
    if (this.left.size > 0) throw new Error(`the session was changed by ${[...this.left].join(", ")}`);
  }
}
