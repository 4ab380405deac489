// How a program opens a connection of tedious, and runs a statement.

import { tedious } from "edgepool/dialects/tedious";
import { Connection, Request } from "tedious";

export { NullPool, QueuePool } from "edgepool";
export { Request, tedious };

export function open(port, options) {
  const connection = new Connection({
    server: "127.0.0.1",
    authentication: { type: "default", options: { userName: "edgepool", password: "pool" } },
    options: { port, encrypt: false, connectTimeout: 2_000, requestTimeout: 0, ...options },
  });
  return new Promise((resolve, reject) => {
    connection.connect((error) => (error ? reject(error) : resolve(connection)));
  });
}

export function run(connection, statement) {
  return new Promise((resolve, reject) => {
    connection.execSqlBatch(new Request(statement, (error) => (error ? reject(error) : resolve())));
  });
}

export const begin = (connection) =>
  new Promise((resolve, reject) => connection.beginTransaction((error) => (error ? reject(error) : resolve())));
