// examples/sqlite: what several connections of one thread do, measured.

import assert from "node:assert/strict";
import { test } from "node:test";

const skip =
  parseInt(process.versions.node, 10) < 22 && `node:sqlite needs Node 22.13 or newer, and this is ${process.version}`;

test(
  "one writer and several readers are refused nothing, and stop nothing, unlike busy_timeout",
  { skip },
  async () => {
    const { compare } = await import("../../../examples/sqlite/writer-and-readers.mjs");
    const { "one pool, with busy_timeout": one, "one writer and several readers": several } = await compare();
    assert.ok(one.refused > 0 && one.stoodStillMs >= 100, JSON.stringify(one));
    assert.deepEqual([several.refused, several.writes], [0, one.writes + one.refused]);
    assert.ok(several.reads >= one.reads);
    assert.ok(several.stoodStillMs < one.stoodStillMs / 2, JSON.stringify(several));
    assert.ok(one.isSound && several.isSound);
  },
);
