/**
 * edgepool/mysql2/promise: `createPool`, which takes the place of that of mysql2/promise.
 *
 * @module
 */

export { createPoolPromise as createPool, type PoolOptions, type PromisePool as Pool } from "./index.js";
