// The settings that docs/guide.md recommends for a server in trouble. A test holds the guide to them.

export const recommended = {
  poolSize: 10,
  maxOverflow: 0,
  timeout: "5s",
  prePing: true,
  prePingAfterIdle: "1s",
  pingTimeout: "400ms",
};

/** Of the driver: how long it may take to connect. */
export const connectionTimeoutMillis = 5000;
