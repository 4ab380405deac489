// The contestants, and how each is spoken to: adapt(library, size) makes a pool of `size` connections; edgepool's looks at
// `steps`, too. The source of adapt is compiled once more for every scenario (scenarios.mjs), so it must not use anything but
// its arguments and globals.
//
// Everyone lends fake connections, has an acquire time-out of 30 s, and has resetting, validation, idle reaping and logging
// off where they can be. Of two ways to call a peer the cheaper one is taken: lightning-pool's release() without a
// callback, pg-pool's with its idle timer off.
//
// For scenario (d), tarn cancels by its own abort(). The other four peers can only time out, each by a setting for the
// whole pool, which they read at every acquire: the adapter sets it to 1 ms before each waiter that is to be cancelled and
// back after it. All are queued in one go, so the time-outs end together, once the queue is full, as an abort does.

import { EventEmitter } from "node:events";

/** What pg-pool needs of a pg.Client. */
class FakeClient extends EventEmitter {
  _queryable = true;
  _ending = false;

  connect(callback) {
    callback();
  }

  end(callback) {
    this._ending = true;
    this.emit("end");
    callback?.();
  }

  query(_text, _values, callback) {
    callback?.(undefined, { rows: [] });
  }

  isConnected() {
    return true;
  }

  ref() {}

  unref() {}
}

export const contestants = [
  {
    name: "edgepool",
    kind: "edgepool",
    load: () => import("edgepool"),
    adapt: ({ QueuePool }, size, steps) => {
      const more = steps ? { dialect: { doRollback() {} }, events: { checkout() {} } } : { resetOnReturn: "none" };
      const pool = new QueuePool(() => ({ close() {} }), { poolSize: size, maxOverflow: 0, timeout: "30s", ...more });
      let canceller = new AbortController();
      let options = { signal: canceller.signal };
      return {
        acquire: () => pool.connect(),
        release: (lease) => lease.close(),
        use: (fn) => pool.use(fn),
        acquireToCancel: () => pool.connect(options),
        cancel: () => {
          canceller.abort();
          canceller = new AbortController();
          options = { signal: canceller.signal };
        },
        close: () => pool.close(),
      };
    },
  },
  {
    name: "twin",
    kind: "floor",
    load: () => import("./twin.mjs"),
    adapt: ({ TwinPool }, size) => {
      const pool = new TwinPool(() => ({}), { size, timeoutMs: 30_000 });
      let canceller = new AbortController();
      let options = { signal: canceller.signal };
      return {
        acquire: () => pool.connect(),
        release: (lease) => lease.close(),
        use: (fn) => pool.use(fn),
        acquireToCancel: () => pool.connect(options),
        cancel: () => {
          canceller.abort();
          canceller = new AbortController();
          options = { signal: canceller.signal };
        },
        close: () => pool.close(),
      };
    },
  },
  {
    name: "floor",
    kind: "floor",
    load: () => import("./floor.mjs"),
    adapt: ({ FloorPool }, size) => {
      const pool = new FloorPool(Array.from({ length: size }, () => ({})));
      return {
        acquire: () => pool.acquire(),
        release: (resource) => pool.release(resource),
        use: async (fn) => {
          const resource = await pool.acquire();
          try {
            return await fn(resource);
          } finally {
            await pool.release(resource);
          }
        },
        close: () => {},
      };
    },
  },
  {
    name: "tarn",
    kind: "peer",
    load: () => import("tarn"),
    adapt: ({ Pool }, size) => {
      const pool = new Pool({
        create: async () => ({}),
        destroy: () => {},
        min: size,
        max: size,
        acquireTimeoutMillis: 30_000,
      });
      let toCancel = [];
      return {
        acquire: () => pool.acquire().promise,
        release: (resource) => pool.release(resource),
        acquireToCancel: () => {
          const pending = pool.acquire();
          toCancel.push(pending);
          return pending.promise;
        },
        cancel: () => {
          for (const pending of toCancel) pending.abort();
          toCancel = [];
        },
        close: () => pool.destroy(),
      };
    },
  },
  {
    name: "generic-pool",
    kind: "peer",
    load: () => import("generic-pool"),
    adapt: ({ createPool }, size) => {
      const pool = createPool(
        { create: async () => ({}), destroy: async () => {} },
        { min: size, max: size, acquireTimeoutMillis: 30_000 },
      );
      return {
        acquire: () => pool.acquire(),
        release: (resource) => pool.release(resource),
        use: (fn) => pool.use(fn),
        acquireToCancel: () => {
          pool._config.acquireTimeoutMillis = 1;
          const promise = pool.acquire();
          pool._config.acquireTimeoutMillis = 30_000;
          return promise;
        },
        cancel: () => {},
        close: async () => {
          await pool.drain();
          await pool.clear();
        },
      };
    },
  },
  {
    name: "pg-pool",
    kind: "peer",
    load: async () => ({ Pool: (await import("pg-pool")).default, Client: FakeClient }),
    adapt: ({ Pool, Client }, size) => {
      const pool = new Pool({ Client, max: size, connectionTimeoutMillis: 30_000, idleTimeoutMillis: 0 });
      return {
        acquire: () => pool.connect(),
        release: (client) => client.release(),
        acquireToCancel: () => {
          pool.options.connectionTimeoutMillis = 1;
          const promise = pool.connect();
          pool.options.connectionTimeoutMillis = 30_000;
          return promise;
        },
        cancel: () => {},
        close: () => pool.end(),
      };
    },
  },
  {
    name: "lightning-pool",
    kind: "peer",
    load: () => import("lightning-pool"),
    adapt: ({ Pool }, size) => {
      const pool = new Pool(
        { create: async () => ({}), destroy: async () => {} },
        {
          max: size,
          maxQueue: 10_000_000,
          acquireTimeoutMillis: 30_000,
          idleTimeoutMillis: 3_600_000,
          validation: false,
        },
      );
      return {
        acquire: () => pool.acquire(),
        release: (resource) => pool.release(resource),
        acquireToCancel: () => {
          pool.options.acquireTimeoutMillis = 1;
          const promise = pool.acquire();
          pool.options.acquireTimeoutMillis = 30_000;
          return promise;
        },
        cancel: () => {},
        close: () => pool.close(0),
      };
    },
  },
  {
    name: "sequelize-pool",
    kind: "peer",
    load: () => import("sequelize-pool"),
    adapt: ({ Pool }, size) => {
      const pool = new Pool({
        create: async () => ({}),
        destroy: async () => {},
        validate: () => true,
        min: size,
        max: size,
        acquireTimeoutMillis: 30_000,
        log: false,
      });
      return {
        acquire: () => pool.acquire(),
        release: (resource) => pool.release(resource),
        acquireToCancel: () => {
          pool.acquireTimeoutMillis = 1;
          const promise = pool.acquire();
          pool.acquireTimeoutMillis = 30_000;
          return promise;
        },
        cancel: () => {},
        close: async () => {
          await pool.drain();
          await pool.destroyAllNow();
        },
      };
    },
  },
];
