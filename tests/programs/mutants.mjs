// @ts-check
// Measures how many faults the random programs catch: node tests/programs/mutants.mjs [number...]. A mutant is one
// fault that is put into a copy of the policy. The programs run against the build of the copy until one breaks a rule.
// Each mutant needs a build, in target/mutants. PROGRAMS limits the programs that run against a mutant, SEED is the
// first.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const copy = join(root, "target", "mutants");
const { PROGRAMS = "50000", SEED = "1" } = process.env;

/** Each names a file of src/policy, a text that stands there once, and what takes its place. */
const mutants = [
  {
    name: "a lost wake-up: no waiter is served when a slot ends",
    file: "slots.rs",
    text: "        self.records.remove(slot);\n        self.serve();\n",
    becomes: "        self.records.remove(slot);\n",
  },
  {
    name: "overtaking: the last of the queue is served first",
    file: "slots.rs",
    text: "        let index = self.waiters.front()?;\n        self.waiters.pop_front();\n",
    becomes:
      "        let index = self.waiters.iter().next_back()?;\n" +
      "        self.waiters.remove(&mut self.operations, index);\n",
  },
  {
    name: "a forgotten generation: a place is used again under the same handle",
    file: "id.rs",
    text: "FREE | entry.next_mark() & !INDEX_MASK | self.next_free",
    becomes: "FREE | entry.mark & HANDLE_MASK & !INDEX_MASK | self.next_free",
  },
  {
    name: "a slot leaked: a reserved waiter that aborts keeps the slot that was made for it",
    file: "checkout.rs",
    text: "        if self.records[slot].is_new {\n            self.drop_slot(slot);\n        } else if",
    becomes: "        if self.records[slot].is_new {\n        } else if",
  },
  {
    name: "a double grant: an idle connection that is lent at once stays in the idle store",
    file: "checkout.rs",
    text: "        self.idle.take();\n        record.phase = Phase::Leased;",
    becomes: "        record.phase = Phase::Leased;",
  },
  {
    name: "opening_ended forgotten: a creator that times out keeps its place",
    file: "opening.rs",
    text: "        self.opening_ended(slot);\n        let operation = self.operation(id);\n        let caller",
    becomes: "        let operation = self.operation(id);\n        let caller",
  },
  {
    name: "a deadline not disarmed: the time of a step runs on after its outcome",
    file: "pool.rs",
    text: "            _ => self.deadlines.disarm(&mut self.operations, id.index()),\n",
    becomes: "            _ => {}\n",
  },
  {
    name: "a close that does not drain: it ends while leases are out",
    file: "shutdown.rs",
    text: "        self.dispose();\n        if self.records.len() == 0 {",
    becomes: "        self.dispose();\n        if self.records.len() < 2 {",
  },
  {
    name: "minIdle off by one",
    file: "upkeep.rs",
    text: "if live <= self.config.min_idle as usize {",
    becomes: "if live < self.config.min_idle as usize {",
  },
  {
    name: "maxUses off by one",
    file: "slots.rs",
    text: "record.uses >= self.config.max_uses",
    becomes: "record.uses > self.config.max_uses",
  },
  {
    name: "a ping skipped: a connection that passes from hand to hand counts as new",
    file: "pool.rs",
    text: "        record.fresh = false;\n        record.uses",
    becomes: "        record.uses",
  },
  {
    name: "a counter twice: an abort of a reserved waiter",
    file: "checkout.rs",
    text: "            State::Reserved => self.give_back(id),\n            _ => self.dismiss(id),",
    becomes:
      "            State::Reserved => {\n                self.counters.aborted += 1;\n" +
      "                self.give_back(id)\n            }\n            _ => self.dismiss(id),",
  },
  {
    name: "recycle ignored at a hand-over of what was just returned",
    file: "slots.rs",
    text: "self.deadlines.now().wrapping_sub(record.opened_at) > record.recycle_ms",
    becomes: "self.deadlines.now().wrapping_sub(record.opened_at) > record.recycle_ms && record.phase == Phase::Idle",
  },
  {
    name: "an epoch not raised: invalidateAll() spares what the common checkout lends",
    file: "pool.rs",
    text: "        self.invalidation = self.invalidation.wrapping_add(1);\n        self.begin_epoch();",
    becomes: "        self.invalidation = self.invalidation.wrapping_add(1);",
  },
];

const chosen = process.argv.slice(2).map(Number);
prepare();
let caught = 0;
let tried = 0;
if (chosen.length === 0) requireSound();
for (const [place, { name, file, text, becomes }] of mutants.entries()) {
  if (chosen.length > 0 && !chosen.includes(place + 1)) continue;
  const path = join(copy, "src", "policy", file);
  const source = readFileSync(join(root, "src", "policy", file), "utf8");
  if (source.split(text).length !== 2) stop(`mutant ${place + 1}, ${name}: its text does not stand once in ${file}`);
  writeFileSync(
    path,
    source.replace(text, () => becomes),
  );
  tried++;
  build();
  const { isBroken, output } = runPrograms();
  writeFileSync(path, source);
  if (isBroken) caught++;
  const said = isBroken ? (output.split("\n").find((line) => line.includes(" × ")) ?? "the run crashed") : "not caught";
  console.log(`${String(place + 1).padStart(2)} ${isBroken ? "caught" : "MISSED"} ${name}\n   ${said.slice(0, 180)}`);
}
console.log(`${caught} of ${tried} mutants are caught`);

/** A copy of the sources, which keeps what was compiled before. */
function prepare() {
  mkdirSync(copy, { recursive: true });
  for (const name of [
    "src",
    "tests",
    "scripts",
    "benches",
    "Cargo.toml",
    "Cargo.lock",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "LICENSE",
  ]) {
    rmSync(join(copy, name), { recursive: true, force: true });
    if (existsSync(join(root, name)))
      cpSync(join(root, name), join(copy, name), { recursive: true, preserveTimestamps: true });
  }
  if (!existsSync(join(copy, "node_modules"))) symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
}

function build() {
  const { status, stderr } = spawnSync(process.execPath, [join(copy, "scripts", "build.mjs")], { encoding: "utf8" });
  if (status !== 0) stop(`the build failed: ${stderr}`);
}

/** Answers whether a program has broken a rule, or the run has crashed. */
function runPrograms() {
  const { status, stdout } = spawnSync(process.execPath, [join(root, "tests", "programs", "main.mjs")], {
    encoding: "utf8",
    // A run that hangs has found something, too.
    timeout: 300_000,
    env: { ...process.env, EDGEPOOL: join(copy, "pkg", "entry", "inline.js"), FIRST: "1", PROGRAMS, SEED },
  });
  return { isBroken: status !== 0, output: stdout };
}

/** Without a mutant no program may break a rule: else every mutant seems to be caught. */
function requireSound() {
  build();
  const { isBroken, output } = runPrograms();
  if (isBroken) stop(`without a mutant programs break rules:\n${output}`);
  console.log(`without a mutant ${PROGRAMS} programs break no rule`);
}

/** @returns {never} */
function stop(/** @type {string} */ why) {
  console.error(why);
  process.exit(1);
}
