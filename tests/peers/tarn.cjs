// edgepool/tarn with the one private method that the suite calls.

const { Pool, TimeoutError } = require("edgepool/tarn");

exports.TimeoutError = TimeoutError;
exports.Pool = class extends Pool {
  /** Would keep the process: nothing here runs at intervals. */
  _stopReaping() {}
};
