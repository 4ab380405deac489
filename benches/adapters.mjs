// The contestants. adapt(library, size) makes a pool of `size` connections; edgepool's adapter also takes `steps`. The
// source of adapt is compiled again for every scenario (scenarios.mjs), so it may use only its arguments and
// globals.
//
// Every contestant lends fake connections and has an acquire time-out of 30 s. Resetting, validation, idle reaping and
// logging are off if they can be. If a peer can be called in two ways, the cheaper one is used: release() of
// lightning-pool without a callback, pg-pool with its idle timer off.
//
// In scenario (d), tarn cancels by its own abort(). The other four peers can only time out. They read the time-out, a
// setting of the whole pool, at every acquire. The adapter sets it to 1 ms before each waiter to be cancelled, and back
// afterwards. All waiters are queued in one turn, so these time-outs end together once the queue is full, as an abort
// does.

import { FakeClient } from "./fake-client.mjs";

export const contestants = [
  {
    name: "edgepool",
    kind: "edgepool",
    load: () => import("edgepool"),
    adapt: ({ QueuePool }, size, steps = "none") => {
      const settings = {
        none: { resetOnReturn: "none" },
        rollback: { dialect: { doRollback() {} } },
        asyncRollback: { dialect: { async doRollback() {} } },
        listenerAndRollback: { dialect: { doRollback() {} }, events: { checkout() {} } },
      }[steps];
      const pool = new QueuePool(() => ({ close() {} }), {
        poolSize: size,
        maxOverflow: 0,
        timeout: "30s",
        ...settings,
      });
      let canceller = new AbortController();
      let options = { signal: canceller.signal };
      return {
        acquire: () => pool.connect(),
        release: (lease) => lease.close(),
        use: (fn) => pool.use(fn),
        useSync: (fn) => pool.useSync(fn),
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
