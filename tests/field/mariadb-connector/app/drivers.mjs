// The connector with promises, with callbacks, and with other options of the protocol.

import { mariadb } from "edgepool/dialects/mariadb";
import { createConnection } from "mariadb";
import { createConnection as createForCallbacks } from "mariadb/callback";

export { NullPool, QueuePool } from "edgepool";
export { mariadb };

const promises = {
  open: createConnection,
  query: (connection, ...given) => connection.query(...given),
  end: (connection) => connection.end(),
  changeUser: (connection, options) => connection.changeUser(options),
};

const called = (call) =>
  new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));

const callbacks = {
  async open(options) {
    const connection = createForCallbacks(options);
    await called((callback) => connection.connect(callback));
    return connection;
  },
  query: (connection, ...given) => called((callback) => connection.query(...given, callback)),
  end: (connection) => called((callback) => connection.end(callback)),
  changeUser: (connection, options) => called((callback) => connection.changeUser(options, callback)),
};

const withOptions = (driver, given) => ({ ...driver, open: (options) => driver.open({ ...options, ...given }) });

export const drivers = {
  promises,
  callbacks,
  "promises, compressed": withOptions(promises, { compress: true }),
  "callbacks, without pipelining": withOptions(callbacks, { pipelining: false }),
};
