// The newest beta of Nitro 3, without any configuration for the package.

import { testNitro } from "../nitro.mjs";

testNitro("nitro3-beta", {
  program: "nitro",
  config: (options) =>
    `import { defineConfig } from "nitro"; export default defineConfig({ serverDir: ".", ${options} });`,
  lines: [],
});
