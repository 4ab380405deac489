// @ts-check
// The conformance suite: plain functions, no test runner and no module of Node, so that it runs unchanged in every
// runtime. topics.mjs finds its topics, and runners/ has a runner for each runtime.

/**
 * @typedef {(name: string, run: () => void | Promise<void>) => void} Define adds one test to a topic
 * @typedef {(test: Define) => void} Topic
 */

/**
 * Collects every test of these topics. The name of a test begins with its topic.
 *
 * @param {Record<string, Topic>} topics
 */
export function collect(topics) {
  /** @type {{ name: string, run: () => void | Promise<void> }[]} */
  const tests = [];
  for (const [topic, define] of Object.entries(topics)) {
    define((name, run) => tests.push({ name: `${topic}: ${name}`, run }));
  }
  return tests;
}

/**
 * Runs every test of these topics in turn, for runtimes without a test runner. A test fails after `limitMs`. Returns
 * the error of each, or undefined.
 *
 * @param {Record<string, Topic>} topics
 */
export async function runAll(topics, limitMs = 20_000) {
  const results = [];
  for (const { name, run } of collect(topics)) {
    let error;
    let timer;
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not over after ${limitMs} ms`)), limitMs);
    });
    try {
      await Promise.race([run(), limit]);
    } catch (thrown) {
      error = String((thrown instanceof Error && thrown.stack) || thrown);
    }
    clearTimeout(timer);
    results.push({ name, error });
  }
  return results;
}
