// How time and memory grow from 1,000 to 100,000 connections or scopes: of the policy natively (growth.rs), and of the
// package in Node (growth-in-node.mjs). Each measurement is a process of its own, because only a process can be
// stopped.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ask, root } from "../scripts/run.mjs";
import { note } from "./rounds.mjs";
import { median } from "./statistics.mjs";

export const sizes = { small: 1000, large: 100_000 };
/** The most that 100 times as many may cost: in time, as a ratio; in memory, as a ratio of the bytes of each. */
export const growthBars = { time: 150, memory: 1.5 };
/** Shorter times are noise. */
const leastMs = 0.01;

export const acts = [
  { id: "reap", title: "closing all idle connections at one tick", rooms: ["policy", "package"] },
  { id: "idleDeaths", title: "death of all idle connections", rooms: ["policy", "package"] },
  { id: "minIdle", title: "ticks with nothing to do, under `minIdle`", rooms: ["policy", "package"] },
  { id: "closeWithLeases", title: "`close()` without patience, all lent", rooms: ["policy", "package"] },
  { id: "closeScopes", title: "`close()` over scopes", rooms: ["package"] },
  { id: "disposeScopes", title: "`dispose()` over scopes", rooms: ["package"] },
  { id: "statsOfScopes", title: "`stats()` of all scopes", rooms: ["package"] },
];

/** Returns for each act and room its times in milliseconds, its bytes, and how many closes were lost. */
export async function measureGrowth({ quick, limitMs }) {
  const programs = {
    policy: [buildPolicy()],
    package: [process.execPath, "--expose-gc", join(import.meta.dirname, "growth-in-node.mjs")],
  };
  const results = [];
  for (const { id, title, rooms } of acts) {
    for (const room of rooms) {
      note(`growth: ${title}, ${room}`);
      const run = (n, pools, mode) => measure([...programs[room], id, n, pools, mode], limitMs);
      const smallRuns = [await run(sizes.small, quick ? 5 : 15, "time")];
      const large = await run(sizes.large, quick ? 1 : 3, "time");
      smallRuns.push(await run(sizes.small, quick ? 5 : 15, "time"));
      const bytes = {
        small: (await run(sizes.small, 10, "memory")).bytes,
        large: (await run(sizes.large, 1, large.stopped ? "state" : "memory")).bytes,
      };
      results.push({ id, room, ...summaryOf(smallRuns, large, limitMs), bytes });
    }
  }
  return results;
}

function summaryOf(smallRuns, large, limitMs) {
  const small = median(smallRuns.flatMap(({ ms }) => ms));
  const stopped = large.stopped;
  const largeMs = stopped ? limitMs : median(large.ms);
  return {
    small,
    large: largeMs,
    stopped,
    unprepared: !large.began,
    times: largeMs / Math.max(small, leastMs),
    lost: Math.max(...[...smallRuns, large].map(({ lost }) => lost)),
  };
}

/**
 * Sums up what a program writes; `stopped` if an act takes longer than the limit, or all before it ten times as long.
 */
function measure([command, ...parameters], limitMs) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters.map(String), { stdio: ["ignore", "pipe", "pipe"], cwd: root });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (chunk) => (errors = `${errors}${chunk}`.slice(-2000)));
    const result = { ms: [], lost: 0, bytes: undefined, began: false, stopped: false };
    const stop = () => {
      result.stopped = true;
      child.kill("SIGKILL");
    };
    let timer = setTimeout(stop, 10 * limitMs);
    createInterface({ input: child.stdout }).on("line", (line) => {
      clearTimeout(timer);
      if (line === "begin") {
        result.began = true;
        timer = setTimeout(stop, limitMs);
      } else {
        timer = setTimeout(stop, 10 * limitMs);
        const { ms, lost = 0, bytes } = JSON.parse(line);
        if (ms !== undefined) result.ms.push(ms);
        result.lost = Math.max(result.lost, lost);
        result.bytes = bytes ?? result.bytes;
      }
    });
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      if (code === 0 || result.stopped) resolve(result);
      else reject(new Error(`${command} ${parameters.join(" ")} failed (exit code ${code}): ${errors}`));
    });
  });
}

/** Compiles growth.rs; returns the path of the program. */
function buildPolicy() {
  note("growth: compiling the policy natively (usually a minute, the first time)");
  const messages = ask("cargo", ["bench", "--locked", "--no-run", "--bench", "growth", "--message-format=json"]);
  const artifact = messages
    ?.split("\n")
    .map((line) => JSON.parse(line))
    .find(({ reason, target }) => reason === "compiler-artifact" && target.name === "growth");
  if (artifact === undefined) throw new Error("growth.rs does not compile: cargo bench --no-run --bench growth");
  return artifact.executable;
}
