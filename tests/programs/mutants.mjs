// @ts-check
// Measures how many faults the random programs catch: node tests/programs/mutants.mjs [number...]. A mutant is one
// fault that is put into a copy of the policy. The programs run against the build of the copy until one breaks a rule.
// Each mutant needs a build of half a minute, in target/mutants. PROGRAMS is the most programs that run against a
// mutant, SEED the first. With "check" instead of numbers nothing runs: each mutant's text must stand in its file.

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
    name: "a lost wake-up: the place of a creator came free",
    file: "slots.rs",
    text: "            self.places.give_back(&mut self.records[slot]);\n            self.has_freed = true;\n",
    becomes: "            self.places.give_back(&mut self.records[slot]);\n",
  },
  {
    name: "a lost wake-up: a slot has ended",
    file: "slots.rs",
    text: "        self.opening_ended(slot);\n        self.has_freed = true;\n",
    becomes: "        self.opening_ended(slot);\n",
  },
  {
    name: "a lost wake-up: a shared connection is not joined any more",
    file: "sharing.rs",
    text: "        if self.shares.retire(slot) {\n            self.has_freed = true;\n        }\n",
    becomes: "        let _ = self.shares.retire(slot);\n",
  },
  {
    name: "overtaking: the last of the queue is served first",
    file: "slots.rs",
    text: "None => self.waiters.front().map(|index| self.operations.handle_of(index)),",
    becomes: "None => self.waiters.back().map(|index| self.operations.handle_of(index)),",
  },
  {
    name: "overtaking: a caller that lost its shared connection queues behind all",
    file: "slots.rs",
    text: "self.waiters.push_behind(&mut self.operations, id.index(), others);",
    becomes: "self.waiters.push_back(&mut self.operations, id.index());",
  },
  {
    name: "an index is used again before the notice about it is handed out",
    file: "pool.rs",
    text: "        if operation.notices > 0 {",
    becomes: "        if operation.notices > 9 {",
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
    name: "the place of a creator is never given back",
    file: "places.rs",
    text: "            self.taken -= 1;\n",
    becomes: "",
  },
  {
    name: "maxConnecting: a caller whose connection was dead opens without a place",
    file: "opening.rs",
    text: "if !self.records[slot].opens && !self.places.has_room() {",
    becomes: "if !self.records[slot].opens && !self.places.has_room() && deaths > 1 {",
  },
  {
    name: "poolSize + maxOverflow off by one",
    file: "slots.rs",
    text: "self.records.len() < self.most_slots().min(MOST)",
    becomes: "self.records.len() <= self.most_slots().min(MOST)",
  },
  {
    name: "a deadline not disarmed: the time of a step runs on after its outcome",
    file: "pool.rs",
    text: "        self.deadlines.disarm(&mut self.operations, id.index());\n        let step = match state {",
    becomes: "        let step = match state {",
  },
  {
    name: "a close that refuses no caller with a reservation",
    file: "pool_end.rs",
    text:
      "                    if self.operation(id).is_attended() {\n" +
      "                        self.refuse(id, Refusal::Closed);\n                    }\n" +
      "                    self.give_back(id, slot);\n",
    becomes: "                    let _ = slot;\n",
  },
  {
    name: "a close that does not wait for the last lease",
    file: "pool_end.rs",
    text: "!self.closes.is_empty() && self.records.len() == 0;",
    becomes: "!self.closes.is_empty() && self.records.len() < 2;",
  },
  {
    name: "minIdle off by one",
    file: "idle.rs",
    text: "if self.live() > least {",
    becomes: "if self.live() >= least {",
  },
  {
    name: "maxUses off by one",
    file: "slots.rs",
    text: "record.uses >= self.config.max_uses",
    becomes: "record.uses > self.config.max_uses",
  },
  {
    name: "recycle ignored",
    file: "slots.rs",
    text: "self.is_current_but_for_age(slot) && !self.is_aged(&self.records[slot])",
    becomes: "self.is_current_but_for_age(slot)",
  },
  {
    name: "a ping skipped: a connection that passes from hand to hand counts as new",
    file: "lease.rs",
    text: "        record.fresh = false;\n",
    becomes: "",
  },
  {
    name: "a ping that is not due: a connection counts as idle since its opening",
    file: "slots.rs",
    text: "        record.free_since_ms = now_ms;\n",
    becomes: "        record.free_since_ms = now_ms.min(record.opened_at_ms);\n",
  },
  {
    name: "a counter twice: an abort of a reserved waiter",
    file: "checkout.rs",
    text: "State::CheckingOut { at: CheckoutAt::Reserved, slot, .. } => self.give_back(id, slot),",
    becomes:
      "State::CheckingOut { at: CheckoutAt::Reserved, slot, .. } => {\n" +
      "                self.family.counters.aborted.count();\n" +
      "                self.give_back(id, slot)\n            }",
  },
  {
    name: "a generation ignored: dispose() spares what is out",
    file: "slots.rs",
    text: "            || record.generation.disposal() != self.family.generation().disposal()\n",
    becomes: "",
  },
  {
    name: "a generation ignored: invalidateAll() spares what needs no check",
    file: "family.rs",
    text: "self.begin_generation(Generation::new(present.invalidation() + 1,",
    becomes: "self.generation.set(Generation::new(present.invalidation() + 1,",
  },
  {
    name: "no scope gives its connection up for another one",
    file: "family.rs",
    text: "        if keepers.len() > most\n",
    becomes: "        if keepers.len() > most.saturating_mul(1000)\n",
  },
  {
    name: "a share is left twice",
    file: "sharing.rs",
    text: "            self.shares.leave(slot);\n            self.end(id);\n",
    becomes: "            self.shares.leave(slot);\n            self.shares.leave(slot);\n            self.end(id);\n",
  },
];

const chosen = process.argv.slice(2).map(Number);
const sources = mutants.map(({ file }) => readFileSync(join(root, "src", "policy", file), "utf8"));
for (const [place, { name, file, text }] of mutants.entries())
  if (sources[place].split(text).length !== 2)
    stop(`mutant ${place + 1}, ${name}: its text does not stand once in ${file}`);
if (process.argv[2] === "check") process.exit();
prepare();
if (chosen.length === 0) requireSound();
let caught = 0;
let tried = 0;
for (const [place, { name, file, text, becomes }] of mutants.entries()) {
  if (chosen.length > 0 && !chosen.includes(place + 1)) continue;
  const path = join(copy, "src", "policy", file);
  writeFileSync(
    path,
    sources[place].replace(text, () => becomes),
  );
  tried++;
  build();
  const { isBroken, said } = runPrograms();
  writeFileSync(path, sources[place]);
  if (isBroken) caught++;
  console.log(`| ${place + 1} | ${name} | ${isBroken ? said : "not caught"} |`);
}
console.log(`${caught} of ${tried} mutants are caught`);

/** A copy of the sources, which keeps what was compiled before. */
function prepare() {
  mkdirSync(join(copy, "pkg"), { recursive: true });
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
    // With times of now: what an interrupted run has built of a mutant must be built again.
    if (existsSync(join(root, name))) cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  if (!existsSync(join(copy, "node_modules"))) symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
}

function build() {
  const { status, stderr } = spawnSync(process.execPath, [join(copy, "scripts", "build.mjs")], { encoding: "utf8" });
  if (status !== 0) stop(`the build failed: ${stderr}`);
}

/** Answers whether a program has broken a rule, or the run has crashed or does not end; and what was found when. */
function runPrograms() {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "tests", "programs", "main.mjs")],
    {
      encoding: "utf8",
      timeout: 300_000,
      env: { ...process.env, EDGEPOOL: join(copy, "pkg", "entry", "inline.js"), FIRST: "1", PROGRAMS, SEED },
    },
  );
  const found = /^\d+ × (?<rule>.*), seeds (?<seed>\d+): /m.exec(stdout)?.groups;
  const said =
    found !== undefined
      ? `${Number(found.seed) - Number(SEED) + 1} programs | ${found.rule}`
      : `? programs | ${signal === null ? "the process crashes" : "the process does not end"}`;
  return { isBroken: status !== 0, said, output: stdout + stderr };
}

/** Without a mutant no program may break a rule: else every mutant seems to be caught. */
function requireSound() {
  build();
  const { isBroken, output } = runPrograms();
  if (isBroken) stop(`without a mutant programs break rules:\n${output}`);
  console.log(`without a mutant ${PROGRAMS} programs from seed ${SEED} break no rule`);
}

/** @returns {never} */
function stop(/** @type {string} */ why) {
  console.error(why);
  process.exit(1);
}
