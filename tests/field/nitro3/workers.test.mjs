// Nitro 3.0.0 with the lines that the guide gives. To minify, this version wants a package that it does not install.

import { linesFor } from "../guide.mjs";
import { testNitro } from "../nitro.mjs";

testNitro("nitro3", {
  program: "nitro",
  config: (options) => `
    import { defineNitroConfig } from "nitro/config";
    export default defineNitroConfig({ minify: false, ${options} });
  `,
  lines: linesFor("Nitro 2"),
});
