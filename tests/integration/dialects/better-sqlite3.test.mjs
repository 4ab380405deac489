// The dialect of better-sqlite3, on real databases.

import { betterSqlite3 } from "edgepool/dialects/better-sqlite3";
import { testSqlite } from "./sqlite.mjs";

// Loaded into an older Node, its binary ends the process.
const skip =
  parseInt(process.versions.node, 10) < 22 && `better-sqlite3 needs Node 22 or newer, and this is ${process.version}`;
const { default: Database } = skip ? {} : await import("better-sqlite3");

testSqlite({ dialect: betterSqlite3, open: (path) => new Database(path), code: "SQLITE_ERROR", skip });
