// The floor: the least that a fair pool with promises can do. It lends the raw resource and keeps the resolvers of
// waiters in a ring, in order of arrival. It has no time-outs, no cancelling and no closing, and trusts its callers.
// The difference between edgepool and the floor is the cost of edgepool's features.

const returned = Promise.resolve();

export class FloorPool {
  #free;
  /** A ring whose length is a power of two. */
  #waiters = new Array(16).fill(undefined);
  #head = 0;
  #waiting = 0;
  #resolve = undefined;
  #executor = (resolve) => {
    this.#resolve = resolve;
  };

  constructor(resources) {
    this.#free = [...resources];
  }

  acquire() {
    if (this.#free.length > 0) return Promise.resolve(this.#free.pop());
    if (this.#waiting === this.#waiters.length) this.#grow();
    const promise = new Promise(this.#executor);
    this.#waiters[(this.#head + this.#waiting++) & (this.#waiters.length - 1)] = this.#resolve;
    return promise;
  }

  release(resource) {
    if (this.#waiting === 0) {
      this.#free.push(resource);
      return returned;
    }
    const resolve = this.#waiters[this.#head];
    this.#waiters[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#waiters.length - 1);
    this.#waiting--;
    resolve(resource);
    return returned;
  }

  /** Doubles a full ring. */
  #grow() {
    const rest = new Array(this.#waiters.length).fill(undefined);
    this.#waiters = [...this.#waiters.slice(this.#head), ...this.#waiters.slice(0, this.#head), ...rest];
    this.#head = 0;
  }
}
