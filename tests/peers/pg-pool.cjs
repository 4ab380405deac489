// The package edgepool-pg-pool, of this checkout.

const { Pool: Base } = require("edgepool/pg-pool");

module.exports = class Pool extends Base {
  constructor(options, Client) {
    super(options, options?.Client ?? Client ?? require(process.env.PEER_DRIVER).Client);
  }
};
