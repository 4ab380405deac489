// The settings that docs/guide.md recommends for a server in trouble. A test holds the guide to them.

/** Of the pool. */
export const recommended = {
  poolSize: 10,
  maxOverflow: 0,
  timeout: "5s",
  openTimeout: "1s",
  openRetry: true,
  prePing: true,
  prePingAfterIdle: "1s",
  pingTimeout: "400ms",
};

/** Of the driver: how long it may take to connect. */
export const connectionTimeoutMillis = 1000;
