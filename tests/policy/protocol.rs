//! Writes the shell's half of the encoding, src/shell/protocol.ts, from the constants of src/bindings/protocol.rs and
//! the options of src/policy/config.rs, and compares the file with it. `UPDATE=1 cargo test --test policy protocol`
//! writes the file; its diff is what a change of the encoding means to the shell.

use edgepool::policy::{
    Config, Form, KINDS, Kind, LONGEST_SPAN_MS, OPTIONS, PLACES, Place, RESET_STYLES, Refusal, Settings,
};
use edgepool::protocol::{
    ARGUMENT_SHIFT, CODES, CONDITION_NAMES, COUNTERS, DONE, EMIT, EVENT_NAMES, EVENT_SHIFT, FLAG, FOREVER, GAUGES,
    HANDED_OVER, INDEX_MASK, LIMITS, LOSS_NAMES, NO_OUTPUT, NO_SLOT, OUTCOME_NAMES, POOLS_OWN, REFUSAL_NAMES, REFUSALS,
    REFUSED, RETURNED, RETURNED_WITH_OUTPUT, STALENESSES,
};
use std::fmt::Write;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shell/protocol.ts");

fn lower_first(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}

fn quoted(names: impl IntoIterator<Item: AsRef<str>>) -> Vec<String> {
    names.into_iter().map(|name| format!("\"{}\"", name.as_ref())).collect()
}

/// A number as TypeScript writes it.
fn literal(number: f64) -> String {
    if number == f64::INFINITY { "Infinity".into() } else { format!("{number}") }
}

/// A statement that is a list, as prettier lays it out.
fn list(before: &str, items: &[String], after: &str) -> String {
    let line = format!("{before}[{}]{after}", items.join(", "));
    if line.len() <= 120 {
        return line + "\n";
    }
    let lines: String = items.iter().map(|item| format!("  {item},\n")).collect();
    format!("{before}[\n{lines}]{after}\n")
}

fn enumeration<'a>(name: &str, variants: impl Iterator<Item = (&'a str, i32)>) -> String {
    let lines: String = variants.map(|(variant, number)| format!("  {variant} = {number},\n")).collect();
    format!("export const enum {name} {{\n{lines}}}\n")
}

fn numbered<'a>(names: &'a [&'a str]) -> impl Iterator<Item = (&'a str, i32)> {
    names.iter().copied().zip(0..)
}

fn class_of(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).expect("every kind has a class").1
}

/// The options whose default a kind has elsewhere than where it is alone in its isolate, or than a QueuePool.
fn differences(of: Settings, from: &Settings) -> Vec<String> {
    OPTIONS
        .iter()
        .zip(of.to_numbers().into_iter().zip(from.to_numbers()))
        .filter(|(option, (own, usual))| option.form != Form::Kind && own != usual)
        .map(|(option, (own, _))| format!("{}: {}", option.name, literal(own)))
        .collect()
}

fn options() -> String {
    let usual = Settings::default();
    let mut text = String::from("/** The options that cross as numbers, in the order in which they cross. */\n");
    text += "export const options = [\n";
    for (option, default) in OPTIONS.iter().zip(usual.to_numbers()) {
        let form = lower_first(&format!("{:?}", option.form));
        let kinds = match option.kinds.len() {
            5 => String::new(),
            _ => format!(", kinds: [{}]", quoted(option.kinds.iter().map(|&kind| class_of(kind))).join(", ")),
        };
        writeln!(text, "  {{ name: \"{}\", form: \"{form}\", default: {}{kinds} }},", option.name, literal(default))
            .expect("a text takes every line");
    }
    text += "] as const;\n";
    text
}

fn kinds() -> String {
    let mut text = String::from("/** The kinds of pool by their numbers, and what the policy says of each. */\n");
    text += "export const kinds = [\n";
    for (kind, class) in KINDS {
        let config = |settings| Config::new(&settings).expect("the defaults pass");
        let alone = config(Settings::defaults(kind, Place::Isolate));
        let pings = config(Settings { pre_ping: Some(true), ..Settings::defaults(kind, Place::Isolate) }).pings();
        let defaults = differences(Settings::defaults(kind, Place::Isolate), &Settings::default());
        let (shares, all) = (alone.shares(), alone.invalidates_for_all());
        let defaults = if defaults.is_empty() { "{}".into() } else { format!("{{ {} }}", defaults.join(", ")) };
        writeln!(
            text,
            "  {{\n    name: \"{class}\",\n    shares: {shares},\n    pings: {pings},\
             \n    invalidatesForAll: {all},\n    \
             defaults: {defaults},\n  }},"
        )
        .expect("a text takes every line");
    }
    text += "] as const;\n";
    text
}

fn places() -> String {
    let places: Vec<_> = PLACES.iter().map(|place| (format!("{place:?}"), *place)).collect();
    let mut text = String::from("/** Where a pool serves, as far as that changes its defaults. */\n");
    text += &enumeration("Place", places.iter().map(|(name, _)| name.as_str()).zip(0..));
    text += "\n/** The defaults of a QueuePool that differ in a place, by the number of the place. */\n";
    text += "export const placeDefaults: readonly Partial<Record<OptionName, number>>[] = [\n";
    for (_, place) in &places {
        let defaults = differences(Settings::defaults(Kind::Queue, *place), &Settings::default());
        let line = if defaults.is_empty() { "  {},".into() } else { format!("  {{ {} }},", defaults.join(", ")) };
        writeln!(text, "{line}").expect("a text takes every line");
    }
    text += "];\n";
    for kind in KINDS.map(|(kind, _)| kind).into_iter().filter(|&kind| kind != Kind::Queue) {
        let alone = Settings::defaults(kind, Place::Isolate);
        let elsewhere = PLACES.map(|place| differences(Settings::defaults(kind, place), &alone));
        assert!(elsewhere.iter().all(Vec::is_empty), "the shell looks at the place of a QueuePool alone");
    }
    text
}

fn written() -> String {
    let events: Vec<String> = EVENT_NAMES.iter().map(|name| lower_first(name)).collect();
    let mut text = String::from(
        "/**\n * How everything is encoded that crosses to the WebAssembly and back. Written by \
         tests/policy/protocol.rs from\n \
         * src/bindings/protocol.rs and src/policy/config.rs: `UPDATE=1 cargo test --test policy protocol`. \
         No other file knows\n \
         * a mask or a shift.\n */\n\n",
    );
    let mut part = |lines: String| text += &(lines + "\n");
    part(format!(
        "const indexMask = {INDEX_MASK};\nconst handleMask = {};\n/** The bit above every handle. */\n\
         const flag = {FLAG};\nconst codeMask = {};\n",
        FLAG - 1,
        (1 << ARGUMENT_SHIFT) - 1
    ));
    part(format!("{}{}", "/** Codes of steps and notices. */\n", enumeration("Code", CODES.iter().copied())));
    part(format!(
        "/** What the loss of a connection says of the others. */\n{}",
        enumeration("Loss", numbered(LOSS_NAMES))
    ));
    part(format!("/** How a step went. */\n{}", enumeration("Outcome", numbered(OUTCOME_NAMES))));
    part(format!(
        "/** What the driver says of a connection that comes back. */\n{}",
        enumeration("Condition", numbered(CONDITION_NAMES))
    ));
    part(format!("/** Why a caller gets no connection. */\n{}", enumeration("Refusal", numbered(REFUSAL_NAMES))));
    part(format!(
        "/** The events that the policy emits, by their numbers. */\n{}\
         export type PolicyEvent = (typeof policyEvents)[number];\n",
        list("export const policyEvents = ", &quoted(events), " as const;")
    ));
    part(kinds() + "export type Kind = (typeof kinds)[number][\"name\"];\n");
    part(format!(
        "/** The reset styles by their numbers. */\n{}",
        list("export const resetStyles = ", &quoted(RESET_STYLES.map(|(_, name)| name)), " as const;")
    ));
    part(options() + "export type OptionName = (typeof options)[number][\"name\"];\n");
    part(places());
    part(format!(
        "/** Why an operation replaces its connection, by number. Empty for a reason that is logged elsewhere. */\n{}",
        list("export const stalenesses = ", &quoted(STALENESSES), " as const;")
    ));
    part(format!(
        "/** The gauges, limits and counters of the statistics, in the order in which they cross. */\n{}{}{}",
        list("export const gauges = ", &quoted(GAUGES), " as const;"),
        list("export const limits = ", &quoted(LIMITS), " as const;"),
        list("export const counters = ", &quoted(COUNTERS), " as const;")
    ));
    part(format!(
        r"// ---- handles

/** The index of a handle. */
export function indexOf(handle: number): number {{
  return handle & indexMask;
}}

// ---- the word of a checkout

/** Whether the checkout was granted: the word is a lease. */
export function isLease(word: number): boolean {{
  return word >= 0;
}}

/** Whether the operation waits, and neither a step nor a tick is due. */
export function isAsleep(word: number): boolean {{
  return word < {REFUSED};
}}

/** Whether the checkout was refused. */
export function isRefused(word: number): boolean {{
  return word === {REFUSED};
}}

/** The operation of a checkout that is neither granted nor refused, or of a return that goes on. */
export function operationOf(word: number): number {{
  return ~word & handleMask;
}}

// ---- the word of a return

/** Whether the slot went to a waiter. */
export function isHandedOver(result: number): boolean {{
  return result >= {HANDED_OVER};
}}

/** Whether the return ended at once. */
export function isReturned(result: number): boolean {{
  return result >= {RETURNED};
}}

/** Whether a return that ended at once left output. */
export function leavesOutput(result: number): boolean {{
  return result === {RETURNED_WITH_OUTPUT};
}}

/** The index of the waiter that has the slot now. */
export function waiterOf(result: number): number {{
  return (result - {HANDED_OVER}) & indexMask;
}}

/** The lease of that waiter, after this one of the same slot. */
export function leaseAfter(lease: number, result: number): number {{
  return (lease & indexMask) | ((result - {HANDED_OVER}) & ~indexMask);
}}

/** Whether a return that goes on begins with the reset of its slot, and left no output. */
export function beginsWithReset(result: number): boolean {{
  return ~result >= flag;
}}

// ---- steps and notices

/** Whether the step grants a lease. */
export function isGrant(step: number): boolean {{
  return step >= 0;
}}

/** The lease that a step grants. */
export function leaseOf(step: number): number {{
  return step & handleMask;
}}

export function codeOf(step: number): Code {{
  return ~step & codeMask;
}}

/** The step of this code that concerns the slot. */
export function stepOf(code: Code, slot: number): number {{
  return ~(code | (slot << {ARGUMENT_SHIFT}));
}}

/** The slot that a step concerns, or {{@link noSlot}}. */
export function slotOf(step: number): number {{
  return (~step >> {ARGUMENT_SHIFT}) & indexMask;
}}

/** Of a step that concerns a connection without a slot. */
export const noSlot = {NO_SLOT};

/** The event that a step emits. */
export function eventOf(step: number): PolicyEvent {{
  return policyEvents[~step >> {}] as PolicyEvent;
}}

export function refusalOf(step: number): Refusal {{
  return (~step & handleMask) >> {ARGUMENT_SHIFT};
}}

/** Whether the last step of an operation left output. */
export function hasOutput(step: number): boolean {{
  return ((step < 0 ? ~step : step) & flag) !== 0;
}}

// ---- output

/** Of next_output: there is none. */
export const noOutput = {NO_OUTPUT};

/** Whether the output is the notice of an operation: its handle. */
export function isNotice(output: number): boolean {{
  return output >= 0;
}}

/** Whether an output that is no notice is the end of a slot, and no spawned operation. */
export function isSlotEnd(output: number): boolean {{
  return output < noOutput - flag;
}}

/** The slot that has ended. */
export function endedSlotOf(output: number): number {{
  return noOutput - 1 - flag - output;
}}

/** The spawned operation of an output that is neither. */
export function spawnedOf(output: number): number {{
  return noOutput - 1 - output;
}}

// ---- sets of events

/** The bits of a set of events. `everyLease`: no lease may be handed over at once. */
export function eventBits(has: (event: PolicyEvent) => boolean, everyLease: boolean): number {{
  let bits = everyLease ? 1 << policyEvents.length : 0;
  for (const [number, event] of policyEvents.entries()) if (has(event)) bits |= 1 << number;
  return bits;
}}

// ---- durations

/** A duration as it crosses: whole milliseconds, rounded up so that nothing ends early. Undefined: the pool's own. */
export function toWireMillis(ms: number | undefined): number {{
  if (ms === undefined) return {POOLS_OWN};
  return ms >= {LONGEST_SPAN_MS} ? {FOREVER} : Math.ceil(ms);
}}
",
        ARGUMENT_SHIFT + EVENT_SHIFT,
    ));
    text.truncate(text.trim_end().len());
    text + "\n"
}

#[test]
fn the_shell_speaks_the_encoding_of_the_bindings() {
    let written = written();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PATH, &written).expect("src/shell/protocol.ts can be written");
    }
    let present = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        present == written,
        "src/shell/protocol.ts is not what the constants say: UPDATE=1 cargo test --test policy protocol"
    );
}

#[test]
fn no_argument_of_a_step_reaches_the_flag() {
    let last = (EVENT_NAMES.len() as i32 - 1) << EVENT_SHIFT | NO_SLOT;
    assert!((EMIT | last << ARGUMENT_SHIFT) & FLAG == 0);
    assert!((CODES.len() as i32) <= 1 << ARGUMENT_SHIFT && DONE < 1 << ARGUMENT_SHIFT);
    assert!((REFUSAL_NAMES.len() as i32) << ARGUMENT_SHIFT < FLAG);
    assert!(!REFUSALS.contains(&Refusal::Aborted));
}

#[test]
fn every_option_that_a_check_names_is_an_option() {
    for (place, option) in OPTIONS.iter().enumerate() {
        let mut numbers = Settings::default().to_numbers();
        numbers[place] = f64::NAN;
        let broken = Config::new(&Settings::from_numbers(&numbers)).err().map(|violation| violation.option);
        assert_eq!(broken, Some(option.name));
    }
}

#[test]
fn options_come_through_as_they_went_in() {
    let settings = Settings { kind: Some(Kind::Static), max_uses: 7.0, use_lifo: Some(true), ..Settings::default() };
    assert_eq!(Settings::from_numbers(&settings.to_numbers()).to_numbers(), settings.to_numbers());
}
