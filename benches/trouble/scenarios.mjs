// The scenarios: `load` is what the callers do (loads.mjs) with `given`, `trouble` what happens outside their process,
// from the moment when they begin. `config` is for the clients of pg. `bars` is what edgepool has to reach: the most of
// a column, or of its ratio to pg.Pool.

const evenP99 = 1.1;

export const scenarios = [
  {
    id: "control",
    title: "no trouble",
    bars: [
      { of: "failed", most: 0 },
      { of: "p99", mostRatio: evenP99 },
    ],
  },
  {
    id: "kill",
    title: "two sessions killed every 250 ms",
    async trouble({ admin, sleep, isOver }) {
      for (await sleep(250); !isOver(); await sleep(250)) await admin.killTwo();
    },
    bars: [
      { of: "opened", mostRatio: 1.1 },
      { of: "p99", mostRatio: 1.1 },
    ],
  },
  {
    id: "restart",
    title: "a restart of 1 s",
    async trouble({ proxy, server, sleep }) {
      await sleep(2000);
      await proxy.ask("refuse");
      await Promise.all([server.ask("halt"), sleep(1000)]);
      await Promise.all([server.ask("resume"), proxy.ask("accept")]);
    },
    bars: [
      { of: "failed", most: 5 },
      { of: "attempts", most: 50 },
    ],
  },
  ...[2000, 2500].map((ms) => ({
    id: ms === 2000 ? "swallow" : "swallow25",
    title: `all bytes lost for ${ms / 1000} s`,
    config: { query_timeout: 1000 },
    async trouble({ proxy, sleep }) {
      await sleep(1000);
      await proxy.ask("swallow");
      await sleep(ms);
      await proxy.ask("pass");
    },
    bars: [{ of: "failed", most: 10 }],
  })),
  {
    id: "slow",
    title: "one in ten statements times out",
    given: { oneInTen: { text: "SELECT pg_sleep(3)", query_timeout: 200 } },
    bars: [
      { of: "failed", most: 0 },
      { of: "answer", most: 220 },
      { of: "opened", most: 0 },
      { of: "backends", most: 10 },
    ],
  },
  {
    id: "nat",
    title: "all cut silently while idle",
    config: { query_timeout: 1000 },
    given: { quietMs: 1500 },
    reports: { quiet: ({ proxy }) => proxy.ask("cut") },
    bars: [
      { of: "failed", most: 0 },
      { of: "p99", mostRatio: 0.5 },
    ],
  },
  {
    id: "blockedPing",
    title: "loop blocked during pings",
    load: "blockedPing",
    given: { blockMs: 1500 },
    reports: {
      hold: ({ proxy }) => proxy.ask("hold"),
      passSoon({ proxy, sleep }) {
        void sleep(100).then(() => proxy.ask("pass"));
      },
    },
    bars: [
      { of: "failed", most: 0 },
      { of: "opened", most: 0 },
    ],
  },
  {
    id: "blockedQueue",
    title: "loop blocked with 50 waiters",
    load: "blockedQueue",
    given: { blockMs: 1500, timeoutMs: 1000 },
    bars: [
      { of: "failed", most: 40 },
      { of: "opened", most: 0 },
    ],
  },
  {
    id: "sqlerror",
    title: "one in ten an SQL error",
    given: { oneInTen: { text: "SELECT 1 / 0" } },
    bars: [
      { of: "failed", most: 0 },
      { of: "opened", most: 0 },
    ],
  },
  {
    id: "lateness",
    title: "no connection free for 5 s",
    load: "lateness",
    bars: [{ of: "answer", most: 5100 }],
  },
];
