// The twin: a pool in plain JavaScript that does what edgepool does on its hot path, and nothing else. A lease has a
// handle and a generation, and ends once. The queue is bounded and first in, first out; a waiter is cancelled in
// constant time. Time-outs are stamped lazily, and one timer serves them. The pool has counters and can be closed. The
// difference between edgepool and the twin is the cost of Rust in WebAssembly.
//
// The twin does a little less than edgepool: it has one time-out for all waiters, so its queue is also the list of
// their deadlines, and the place of a cancelled waiter stays empty until it reaches the front.

const indexMask = (1 << 20) - 1;
const nextGeneration = 1 << 20;
const returned = Promise.resolve();

class TwinLease {
  #pool;
  #handle;
  #resource;
  #ending = undefined;

  constructor(pool, handle, resource) {
    this.#pool = pool;
    this.#handle = handle;
    this.#resource = resource;
  }

  get connection() {
    if (this.#ending !== undefined) throw new Error("this lease has ended");
    return this.#resource;
  }

  close() {
    if (this.#ending !== undefined) return this.#ending;
    return (this.#ending = this.#pool.checkIn(this.#handle));
  }
}

export class TwinPool {
  #create;
  #size;
  #timeoutMs;
  /** The longest time until a waiter gets its stamp. */
  #grainMs;
  #maxWaiters;
  #closed = false;

  /** By slot: the resource, and the handle of the present or next lease. */
  #resources = [];
  #handles = [];
  /** A ring of free slots, the longest idle first, with a place for every slot. */
  #idle;
  #idleHead = 0;
  #idleCount = 0;

  /** Rings, by ticket: the waiter, its deadline once stamped, and the signal that may cancel it. */
  #waiters = new Array(16).fill(undefined);
  #dues = new Array(16).fill(0);
  #signals = new Array(16).fill(undefined);
  /** Ascending tickets: of the first waiter, of the first waiter without a stamp, and of the next waiter. */
  #first = 0;
  #unstamped = 0;
  #next = 0;
  #waiting = 0;
  /** Tickets by signal, with the one listener of each. */
  #groups = new Map();
  #timer = undefined;
  #timerMs = Infinity;

  checkouts = 0;
  waited = 0;
  timedOut = 0;
  aborted = 0;

  #resolve = undefined;
  #executor = (resolve) => {
    this.#resolve = resolve;
  };

  constructor(create, { size, timeoutMs, maxWaiters = Infinity }) {
    this.#create = create;
    this.#size = size;
    this.#timeoutMs = timeoutMs;
    this.#grainMs = Math.max(timeoutMs / 64, 5);
    this.#maxWaiters = maxWaiters;
    this.#idle = new Array(size).fill(0);
  }

  connect(options) {
    if (this.#closed) return Promise.reject(new Error("the pool is closed"));
    const signal = options?.signal;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#waiting === 0) {
      if (this.#idleCount > 0) {
        const slot = this.#idle[this.#idleHead];
        this.#idleHead = this.#idleHead + 1 === this.#size ? 0 : this.#idleHead + 1;
        this.#idleCount--;
        return Promise.resolve(this.#lease(slot));
      }
      if (this.#resources.length < this.#size) {
        const slot = this.#resources.push(this.#create()) - 1;
        this.#handles.push(slot);
        return Promise.resolve(this.#lease(slot));
      }
    }
    return this.#wait(signal);
  }

  async use(fn) {
    const lease = await this.connect();
    try {
      return await fn(lease.connection, lease);
    } finally {
      await lease.close();
    }
  }

  checkIn(handle) {
    const slot = handle & indexMask;
    if (this.#handles[slot] !== handle) return returned;
    this.#handles[slot] = (handle + nextGeneration) & 0x7fffffff;
    if (this.#waiting > 0) {
      const resolve = this.#shift();
      resolve(this.#lease(slot));
    } else {
      const place = this.#idleHead + this.#idleCount++;
      this.#idle[place >= this.#size ? place - this.#size : place] = slot;
    }
    return returned;
  }

  close() {
    this.#closed = true;
    while (this.#waiting > 0) this.#shift()(Promise.reject(new Error("the pool is closed")));
    clearTimeout(this.#timer);
  }

  #lease(slot) {
    this.checkouts++;
    return new TwinLease(this, this.#handles[slot], this.#resources[slot]);
  }

  // ---- the queue

  #wait(signal) {
    if (this.#waiting >= this.#maxWaiters) return Promise.reject(new Error("the queue is full"));
    if (this.#next - this.#first === this.#waiters.length) this.#grow();
    const ticket = this.#next++;
    const promise = new Promise(this.#executor);
    this.#waiters[ticket & (this.#waiters.length - 1)] = this.#resolve;
    if (signal !== undefined) this.#watch(signal, ticket);
    this.waited++;
    if (this.#waiting++ === 0 || this.#timerMs > this.#grainMs) this.#attend();
    return promise;
  }

  /** Removes the first waiter, and the empty places behind it. */
  #shift() {
    const mask = this.#waiters.length - 1;
    const resolve = this.#waiters[this.#first & mask];
    this.#remove(this.#first);
    while (this.#first < this.#next && this.#waiters[this.#first & mask] === undefined) this.#first++;
    if (this.#unstamped < this.#first) this.#unstamped = this.#first;
    return resolve;
  }

  #remove(ticket) {
    const place = ticket & (this.#waiters.length - 1);
    this.#waiters[place] = undefined;
    if (this.#groups.size > 0 && this.#signals[place] !== undefined) this.#unwatch(this.#signals[place], ticket);
    if (--this.#waiting === 0) this.#timer?.unref();
  }

  #watch(signal, ticket) {
    let group = this.#groups.get(signal);
    if (group === undefined) {
      const tickets = new Set();
      group = { tickets, listener: () => tickets.forEach((aborted) => this.#abort(aborted, signal.reason)) };
      this.#groups.set(signal, group);
      signal.addEventListener("abort", group.listener);
    }
    group.tickets.add(ticket);
    this.#signals[ticket & (this.#waiters.length - 1)] = signal;
  }

  #unwatch(signal, ticket) {
    const { tickets, listener } = this.#groups.get(signal);
    this.#signals[ticket & (this.#waiters.length - 1)] = undefined;
    tickets.delete(ticket);
    if (tickets.size > 0) return;
    this.#groups.delete(signal);
    signal.removeEventListener("abort", listener);
  }

  #abort(ticket, reason) {
    this.aborted++;
    this.#reject(ticket, reason);
  }

  #reject(ticket, reason) {
    const resolve = this.#waiters[ticket & (this.#waiters.length - 1)];
    if (ticket === this.#first) this.#shift();
    else this.#remove(ticket);
    resolve(Promise.reject(reason));
  }

  /** Doubles the rings. */
  #grow() {
    const length = this.#waiters.length;
    const waiters = new Array(2 * length).fill(undefined);
    const dues = new Array(2 * length).fill(0);
    const signals = new Array(2 * length).fill(undefined);
    for (let ticket = this.#first; ticket < this.#next; ticket++) {
      const from = ticket & (length - 1);
      const to = ticket & (2 * length - 1);
      waiters[to] = this.#waiters[from];
      dues[to] = this.#dues[from];
      signals[to] = this.#signals[from];
    }
    this.#waiters = waiters;
    this.#dues = dues;
    this.#signals = signals;
  }

  // ---- time

  /** Makes the timer run soon enough to stamp a new waiter, and keep the process alive. */
  #attend() {
    if (this.#timerMs > this.#grainMs) this.#arm(this.#grainMs);
    else this.#timer.ref();
  }

  #arm(delayMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#tick, delayMs);
    this.#timerMs = delayMs;
  }

  /** Reads the clock once: stamps the waiters since the last reading, and rejects the waiters whose time is over. */
  #tick = () => {
    this.#timer = undefined;
    this.#timerMs = Infinity;
    const now = Math.ceil(performance.now());
    const mask = this.#waiters.length - 1;
    const stamped = this.#unstamped < this.#next;
    for (; this.#unstamped < this.#next; this.#unstamped++) this.#dues[this.#unstamped & mask] = now + this.#timeoutMs;
    while (this.#waiting > 0) {
      const left = this.#dues[this.#first & mask] - now;
      if (left > 0) return this.#arm(stamped ? Math.min(left, this.#grainMs) : left);
      this.timedOut++;
      this.#reject(this.#first, new Error("no connection came free in time"));
    }
  };
}
