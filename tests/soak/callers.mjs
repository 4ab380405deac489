// What one caller does with a lease, by its step: work, faults of its own, and kills.

/** Accounts that callers transfer between, and what each has at first. */
export const accounts = { count: 100, balance: 1_000 };

const ignore = () => {};

/** The balance of the accounts must stay: a transfer is done, or it is not. */
function transfer(random) {
  const [from, to] = [random.below(accounts.count), random.below(accounts.count)].sort((a, b) => a - b);
  const amount = random.below(50);
  return [
    `UPDATE accounts SET balance = balance - ${amount} WHERE id = ${from}`,
    `UPDATE accounts SET balance = balance + ${amount} WHERE id = ${to}`,
  ];
}

/** A row that must never be seen: its transaction is never committed. */
const leak = (step) => `INSERT INTO leaks VALUES (${step})`;

/** How a caller works without a kill, by weight. Each gets its tools, the connection and its random numbers. */
export const works = {
  reads: [
    4,
    ({ query }, connection, random) => query(connection, `SELECT * FROM accounts WHERE id = ${random.below(100)}`),
  ],
  transfers: [
    4,
    async ({ query }, connection, random) => {
      await query(connection, "BEGIN");
      for (const text of transfer(random)) await query(connection, text);
      await query(connection, "COMMIT");
    },
  ],
  "leaves a transaction open": [
    2,
    async ({ query, step }, connection) => {
      await query(connection, "BEGIN");
      await query(connection, leak(step));
    },
  ],
  "leaves a transaction open that it did not await": [
    1,
    ({ server, step }, connection) => server.abandon(connection, leak(step)),
  ],
  "has a statement refused": [1, ({ query }, connection) => query(connection, "SELECT * FROM missing")],
  "has a statement refused in a transaction": [
    1,
    async ({ query, step }, connection) => {
      await query(connection, "BEGIN");
      await query(connection, leak(step));
      await query(connection, "SELECT * FROM missing");
    },
  ],
  "has a statement cancelled": [
    0.3,
    async ({ server, idOf }, connection) => {
      const running = server.sleep(connection);
      running.catch(ignore);
      await server.cancel(idOf(connection));
      await running;
    },
  ],
  "gives a statement up after a time-out": [0.3, ({ server }, connection) => server.late(connection)],
  "returns while a statement runs": [
    0.3,
    ({ server }, connection) => void Promise.resolve(server.sleep(connection)).catch(ignore),
  ],
};

/** What a caller does with its lease, beside that. */
export const ends = {
  invalidates: [0.5, (lease) => lease.invalidate(new Error("the caller does not want it"))],
  "invalidates softly": [0.5, (lease) => lease.invalidate(undefined, { soft: true })],
  detaches: [0.3, (lease) => lease.detach()],
  returns: [18, ignore],
};

/** When a connection is killed, by weight. */
export const kills = {
  idle: [3, undefined],
  "under a statement": [
    2,
    async ({ server, kill }, connection) => {
      const running = server.sleep(connection);
      running.catch(ignore);
      await kill(connection);
      await running;
    },
  ],
  "between two statements": [
    2,
    async ({ query, kill }, connection) => {
      await kill(connection);
      await query(connection, "SELECT 1");
    },
  ],
  "in a transaction": [
    2,
    async ({ query, kill, step }, connection, random) => {
      await query(connection, "BEGIN");
      await query(connection, leak(step));
      for (const text of transfer(random)) await query(connection, text);
      await kill(connection);
      await query(connection, "COMMIT");
    },
  ],
  "unseen by its caller": [2, ({ kill }, connection) => kill(connection)],
  "during the return": [
    2,
    async ({ query, kill, step }, connection) => {
      await query(connection, "BEGIN");
      await query(connection, leak(step));
      void kill(connection);
    },
  ],
  "once it is open": [1, undefined],
};
