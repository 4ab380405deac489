// The scenarios behind the buttons: settings at the start, and what happens later by itself. experiment.js runs them;
// a scenario is nothing but a link that somebody has written already.

export const scenarios = [
  { name: "Normal day", says: "The load comes in waves. At each crest the pool opens its overflow, then callers wait, and a few run out of patience.", set: {}, script: [] },
  { name: "Calm", says: "Fewer callers than connections: nobody waits.", set: { rate: 4, waves: 0 }, script: [] },
  { name: "Rush hour", says: "More callers than the pool can serve: the queue grows, and some run out of patience.", set: { rate: 14, waves: 30, timeout: 3000 }, script: [] },
  {
    name: "Database slows down",
    says: "After 4 seconds every query takes five times as long, for 8 seconds. Watch how long the queue needs to recover.",
    set: { rate: 8, waves: 0, timeout: 3000 },
    script: [{ at: 4000, action: "query", value: "1500" }, { at: 12_000, action: "query", value: "300" }],
  },
  {
    name: "Server restarts",
    says: "After 4 seconds every connection breaks, and for 2 seconds none can be opened. The pool replaces them by itself.",
    set: { rate: 8, waves: 0, timeout: 3000 },
    script: [{ at: 4000, action: "restart" }],
  },
  { name: "Leak", says: "One caller in twenty never gives its connection back, until nobody gets one any more.", set: { rate: 8, waves: 0, leaks: 5, timeout: 3000 }, script: [] },
];

/** What a comparison starts with: a load on which the two differ visibly, within seconds. */
export const comparisonStarts = {
  one: { says: scenarios[0].says, set: {}, script: [] },
  lifo: {
    says: "The same callers, twice; after a second there are fewer. First out first keeps all connections busy in turn; latest first lets the surplus rest until it is closed.",
    set: { rate: 14, waves: 0, query: 150, poolSize: 8, maxOverflow: 0, idleTimeout: 2000 },
    script: [{ at: 1000, action: "rate", value: "6" }],
  },
  nullPool: { says: "The same callers, twice. Without a pool every caller waits for a connection of its own to open.", set: { rate: 6, waves: 40, poolSize: 8, maxOverflow: 7, connect: 600 }, script: [] },
};
