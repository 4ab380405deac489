// Runs the conformance suite in Node, on the built package.

import test from "node:test";
import { collect } from "../suite.mjs";

for (const { name, run } of collect()) test(name, run);
