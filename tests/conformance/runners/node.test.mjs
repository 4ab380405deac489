// @ts-check
// Runs the conformance suite in Node, on the built package.

import test from "node:test";
import { collect } from "../suite.mjs";
import { chosenTopics, loadTopics } from "../topics.mjs";

for (const { name, run } of collect(await loadTopics(chosenTopics()))) test(name, run);
