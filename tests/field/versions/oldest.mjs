// Loaded before a test file: what imports the driver gets its oldest version.

import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { DRIVER: driver, FOLDER: folder } = process.env;
const parentURL = pathToFileURL(join(folder, "package.json")).href;

registerHooks({
  resolve(specifier, context, next) {
    const [name, ...rest] = specifier.split("/");
    return name === driver
      ? next([`${driver}-oldest`, ...rest].join("/"), { ...context, parentURL })
      : next(specifier, context);
  },
});
