// Writes the state of the page as the part of its address after "#", and reads it. The link holds the settings that
// differ from the start, the seed, the moment, and the script of changes (experiment.js). It brings the same experiment
// to the same moment. Unknown parts of a link are ignored.

import { isAction } from "./experiment.js";
import { comparisons, defaults, readValue, settings, written } from "./settings.js";

export const speeds = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];
export const startSeed = 7;
/** A longer script does not fit into a link: the link then has the current settings and begins at 0. */
export const mostActions = 5000;

export const isRepeatable = ({ script }) => script.length <= mostActions;

export function writeLink({ experiment, speed, isPaused, tab, sql }) {
  const parameters = new URLSearchParams();
  const isWhole = isRepeatable(experiment);
  const settingsAtStart = isWhole ? experiment.initial : experiment.current;
  if (tab !== "simulation") parameters.set("tab", tab);
  if (sql !== undefined) parameters.set("sql", sql);
  if (experiment.compare !== "one") parameters.set("compare", experiment.compare);
  if (experiment.seed !== startSeed) parameters.set("seed", experiment.seed);
  for (const name of Object.keys(settings))
    if (settingsAtStart[name] !== defaults[name]) parameters.set(name, written(settingsAtStart[name]));
  if (speed !== 1) parameters.set("speed", speed);
  if (isPaused) parameters.set("paused", "yes");
  if (isWhole && experiment.now > 0) parameters.set("at", Math.round(experiment.now));
  if (isWhole && experiment.script.length > 0) {
    parameters.set(
      "script",
      experiment.script
        .map(({ at, action, value }) => [Math.round(at), action, value].filter((part) => part !== "").join("-"))
        .join("_"),
    );
  }
  return parameters.toString();
}

export function readLink(hash) {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const initial = { ...defaults };
  for (const name of Object.keys(settings)) {
    const value = parameters.has(name) ? readValue(name, parameters.get(name)) : undefined;
    if (value !== undefined) initial[name] = value;
  }
  const whole = (name, otherwise) =>
    /^\d{1,12}$/.test(parameters.get(name) ?? "") ? Number(parameters.get(name)) : otherwise;
  const speed = Number(parameters.get("speed"));
  return {
    tab: parameters.get("tab") === "real" ? "real" : "simulation",
    sql: parameters.get("sql") ?? undefined,
    compare: Object.hasOwn(comparisons, parameters.get("compare")) ? parameters.get("compare") : "one",
    seed: whole("seed", startSeed),
    initial,
    speed: speeds.includes(speed) ? speed : 1,
    isPaused: parameters.get("paused") === "yes",
    at: whole("at", 0),
    script: readScript(parameters.get("script") ?? ""),
  };
}

function readScript(text) {
  const entries = [];
  for (const part of text.split("_").slice(0, mostActions)) {
    const [, at, action, value = ""] = /^(\d{1,12})-([a-zA-Z]+)(?:-(.*))?$/.exec(part) ?? [];
    if (at !== undefined && isAction(action)) entries.push({ at: Number(at), action, value });
  }
  return entries.sort((a, b) => a.at - b.at);
}
