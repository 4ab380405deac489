// In place of the package pg-pool.
module.exports = require("edgepool/pg-pool").Pool;
