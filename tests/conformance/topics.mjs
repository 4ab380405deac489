// @ts-check
// Finds the topics of the conformance suite, in Node. A topic is a module of this folder with a default export: a
// function that calls `test(name, run)`. For runtimes without these files runners/bundle.mjs bundles what this finds.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const folder = import.meta.dirname;

/** Returns the names of all topics. */
export function topicNames() {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".mjs") && /^export default/m.test(readFileSync(join(folder, file), "utf8")))
    .map((file) => file.replace(".mjs", ""))
    .sort();
}

/** Returns the names of the topics to run: those in the variable TOPICS, separated by commas, or all. */
export function chosenTopics() {
  const { TOPICS = "" } = process.env;
  return TOPICS === "" ? topicNames() : TOPICS.split(",");
}

/** Loads these topics. Returns the function of each by its name. */
export async function loadTopics(names = topicNames()) {
  /** @type {Record<string, import("./suite.mjs").Topic>} */
  const topics = {};
  for (const name of names) topics[name] = (await import(`./${name}.mjs`)).default;
  return topics;
}
