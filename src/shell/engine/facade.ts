/**
 * What a lease holder has in place of the driver's connection, if the dialect names methods to guard: a facade that
 * passes everything on, and refuses those methods once its lease has ended. Otherwise a statement that is late runs in
 * the next caller's transaction. Sharers of a connection have one facade, until the last of them returns it.
 */

import type { Dialect } from "../dialect.js";
import { InvalidRequestError } from "../errors.js";

/** What a facade asks of its lease. */
interface Usable {
  /** Throws if the lease may not be used. */
  readonly connection: unknown;
}

/** What the facades of a connection ask of its pool. */
interface FacadeOwner {
  readonly name: string;
  /** Throws if the code runs in another I/O context. */
  assertHere(): void;
}

type Method = (...given: unknown[]) => unknown;

/** Whether a method is guarded, by its name. */
export type Guarded = (name: PropertyKey) => boolean;

export function guardedBy(guarded: NonNullable<Dialect["guarded"]>): Guarded {
  if (typeof guarded === "function") return (name) => typeof name === "string" && guarded(name);
  const names = new Set<PropertyKey>(guarded);
  return (name) => names.has(name);
}

export function leaseHasEnded(pool: string): InvalidRequestError {
  return new InvalidRequestError(
    `this lease of the pool ${pool} has ended, and another caller may have its connection now. Use the ` +
      `connection before close(), or connect() again`,
    pool,
  );
}

/** Makes the facades of one connection. */
export class Facades<C> {
  /** Whether the connection was closed: then its driver refuses what is late, and no other caller is concerned. */
  isClosed = false;
  readonly #connection: C;
  readonly #owner: FacadeOwner;
  readonly #dialect: Dialect<C>;
  readonly #guarded: Guarded;
  /** By the driver's own: methods that are not guarded, bound to the connection, which may have private fields. */
  readonly #passed = new WeakMap<Method, Method>();
  #sharers: Sharers | undefined = undefined;

  constructor(connection: C, owner: FacadeOwner, dialect: Dialect<C>, guarded: Guarded) {
    this.#connection = connection;
    this.#owner = owner;
    this.#dialect = dialect;
    this.#guarded = guarded;
  }

  /** Makes the facade of a lease, or returns that of the sharers. Runs no foreign code. */
  facadeFor(lease: Usable): C {
    const sharers = this.#sharers;
    if (sharers === undefined) return this.#make(lease);
    return (sharers.facade ??= this.#make(sharers)) as C;
  }

  #make(lease: Usable): C {
    return new Proxy(this.#connection as object, new Handler(this as Facades<any>, lease)) as C;
  }

  /** One caller more shares the connection. */
  join(): void {
    if (this.#sharers === undefined || this.#sharers.count === 0) this.#sharers = new Sharers(this.#owner);
    this.#sharers.count++;
  }

  /** One caller fewer shares the connection, if callers share it. */
  leave(): void {
    if (this.#sharers !== undefined) this.#sharers.count--;
  }

  read(target: object, key: PropertyKey, lease: Usable): unknown {
    const value: unknown = Reflect.get(target, key);
    if (typeof value !== "function" || key === "constructor") return value;
    const isGuarded = this.#guarded(key);
    const own = Object.getOwnPropertyDescriptor(target, key);
    // A proxy must show a frozen property as it is, and a function of the object's own needs no `this`.
    if (own !== undefined && (!isGuarded || (own.configurable === false && own.writable === false))) return value;
    return isGuarded
      ? (...given: unknown[]) => this.#call(value as Method, given, lease, key as string)
      : this.#pass(target, value as Method);
  }

  #call(method: Method, given: unknown[], lease: Usable, name: string): unknown {
    try {
      void lease.connection;
    } catch (error) {
      if (!this.isClosed) return this.#refuse(error, given, name);
    }
    return Reflect.apply(method, this.#connection, given);
  }

  #refuse(error: unknown, given: unknown[], name: string): unknown {
    const { doRefuse } = this.#dialect;
    if (doRefuse === undefined) return Promise.reject(error);
    return Reflect.apply(doRefuse, this.#dialect, [error, given, this.#connection, name]);
  }

  #pass(target: object, method: Method): Method {
    let passed = this.#passed.get(method);
    if (passed === undefined) {
      // A method that returns its connection, such as on(), returns the facade.
      passed = function (this: unknown, ...given: unknown[]) {
        const answer = Reflect.apply(method, target, given);
        return answer === target && this !== undefined ? this : answer;
      };
      this.#passed.set(method, passed);
    }
    return passed;
  }
}

/** The callers that share a connection, from the first one to the return of the last. */
class Sharers implements Usable {
  count = 0;
  facade: unknown = undefined;
  readonly #owner: FacadeOwner;

  constructor(owner: FacadeOwner) {
    this.#owner = owner;
  }

  get connection(): unknown {
    if (this.count === 0) throw leaseHasEnded(this.#owner.name);
    this.#owner.assertHere();
    return this.facade;
  }
}

class Handler implements ProxyHandler<object> {
  readonly #facades: Facades<unknown>;
  readonly #lease: Usable;

  constructor(facades: Facades<unknown>, lease: Usable) {
    this.#facades = facades;
    this.#lease = lease;
  }

  get(target: object, key: PropertyKey): unknown {
    return this.#facades.read(target, key, this.#lease);
  }

  /** A setter may use private fields, too. */
  set(target: object, key: PropertyKey, value: unknown): boolean {
    return Reflect.set(target, key, value);
  }
}
