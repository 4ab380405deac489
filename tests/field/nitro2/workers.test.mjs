// Nitro 2 with the lines that the guide gives.

import { linesFor } from "../guide.mjs";
import { testNitro } from "../nitro.mjs";

testNitro("nitro2", {
  program: "nitropack",
  config: (options) => `export default defineNitroConfig({ ${options} });`,
  lines: linesFor("Nitro 2"),
});
