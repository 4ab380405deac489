// The targets of a whole run. Speed is held to the floor (floor.mjs), the limit of what a pool with promises can do: no
// pool can be faster beside a peer than the floor is. Only (d) is held to the twin, because the floor cannot cancel,
// and useSync() to edgepool's own use().

import { contestants } from "./adapters.mjs";
import { growthBars } from "./growth.mjs";
import { startBar } from "./start.mjs";

const peers = contestants.filter(({ kind }) => kind === "peer").map(({ name }) => name);

/** In the order of the document: `by` names what edgepool's time is divided by. */
export const speedTargets = [
  { id: "a", title: "checkout and return", by: "floor", bound: 1.15 },
  { id: "steps", title: "the same, with a checkout listener and a rollback", by: "floor", bound: 3 },
  { id: "use", title: "with `use()`", by: "floor", bound: 1.2 },
  { id: "b", title: "1,000 tasks on 10 connections", by: "floor", bound: 1.2 },
  { id: "c", title: "100,000 waiters", by: "floor", bound: 1.2 },
  { id: "e", title: "a waiter among 100,000 by one among 1,000", by: "floor", bound: 1.2 },
  { id: "bytes", title: "bytes a waiter", by: "floor", bound: 1.7 },
  { id: "d", title: "every second one cancelled", by: "twin", bound: 1 },
  { id: "useSync", title: "`useSync()` of an empty function", by: "use()", bound: 0.4 },
];

/** Returns a target in the words of a user. */
export const targetName = ({ title, by }) => `${title}, by ${by === "use()" ? "`use()`" : `the ${by}`}`;

/** Returns the speed targets that this run has measured: edgepool and the cheapest peer, each divided by the floor. */
export function judgeSpeed({ scenarios, bytes, waiterGrowth }) {
  const costsOf = (id, quantile) => {
    if (id === "bytes") return mapValues(bytes, ({ total }) => total);
    if (id === "e") return mapValues(waiterGrowth, ({ growth }) => growth);
    const costs = mapValues(scenarios.find((scenario) => scenario.id === id)?.outcomes, (outcome) => outcome[quantile]);
    return id === "useSync" ? { ...costs, "use()": costsOf("sync", quantile).edgepool } : costs;
  };
  return speedTargets.flatMap(({ id, title, by, bound }) => {
    const costs = costsOf(id, "median");
    if (costs.edgepool === undefined || costs[by] === undefined) return [];
    const byP25 = costsOf(id, "p25");
    const value = costs.edgepool / costs[by];
    const best = Math.min(...peers.map((name) => costs[name] ?? Infinity)) / costs[by];
    return [{ id, title, by, bound, value, byP25: byP25.edgepool / byP25[by], best, reached: isWithin(value, bound) }];
  });
}

/** Returns the growth of each act in time and bytes, and whether it is within the bars and lost no close. */
export function judgeGrowth(growth) {
  return growth.map((result) => {
    const { small, large } = result.bytes;
    const memory = small === undefined || large === undefined ? undefined : large / small;
    const isLinear = isWithin(result.times, growthBars.time, 0) && isWithin(memory ?? 0, growthBars.memory);
    return { ...result, memory, reached: isLinear && !result.stopped && result.lost === 0 };
  });
}

/** Returns what edgepool's start costs, as a multiple of pg-pool's. */
export function judgeStart(start) {
  return ["cpuMs", "peakBytes"].map((what) => {
    const value = start.edgepool[what] / start["pg-pool"][what];
    return { what, value, reached: isWithin(value, startBar) };
  });
}

/** Compares the value as it is shown, with so many decimals: no value that is shown as the bound misses it. */
function isWithin(value, bound, decimals = 2) {
  return Number(value.toFixed(decimals)) <= bound;
}

function mapValues(object = {}, change) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}
