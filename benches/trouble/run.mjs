// One run: one contestant in one scenario, in a process of its own. Its parent asks for `warm`, then for `load`.

import pg from "pg";
import { answerParent, report } from "./child.mjs";
import { contestants } from "./contestants.mjs";
import * as loads from "./loads.mjs";
import { scenarios } from "./scenarios.mjs";

const [name, id, options] = process.argv.slice(2);
const { load = "arrivals", config, given } = scenarios.find((scenario) => scenario.id === id);
let attempts = 0;

class CountingClient extends pg.Client {
  connect(...args) {
    attempts++;
    return super.connect(...args);
  }
}

const { run } = contestants
  .find((contestant) => contestant.name === name)
  .make(
    CountingClient,
    { ...JSON.parse(options), application_name: "trouble", connectionTimeoutMillis: 5000, ...config },
    { timeoutMs: 5000, ...given },
  );

answerParent({
  warm: () => loads.warm(run),
  async load() {
    attempts = 0;
    const outcomes = await loads[load](run, { ...given, say: report });
    return { outcomes, attempts };
  },
});
