// @ts-check
// The package under test: the built one, or the one that EDGEPOOL names, such as the build of a mutant.

const { EDGEPOOL: path = "edgepool" } = process.env;

export const edgepool = /** @type {typeof import("edgepool")} */ (await import(path));
