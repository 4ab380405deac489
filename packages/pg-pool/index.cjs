"use strict";

const { Pool: Base } = require("edgepool/pg-pool");

class Pool extends Base {
  constructor(config, Client) {
    // Not before it is needed: pg loads this module while pg itself loads.
    super(config, config?.Client ?? Client ?? require("pg").Client);
  }
}

module.exports = Pool;
module.exports.Pool = Pool;
module.exports.default = Pool;
