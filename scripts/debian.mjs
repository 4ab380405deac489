// @ts-check
// Servers and tools of Debian: installed if this is a Debian that may, or unpacked from another release of it.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ask, run, say, toolsFolder } from "./run.mjs";

/** Each returns the path of its server, or says that it is left out and returns undefined. */
export const setUpMariadb = () => setUpServer("MariaDB", "mariadbd", "mariadb-server");
export const setUpPgBouncer = () => setUpServer("PgBouncer", "pgbouncer", "pgbouncer");
export const setUpRedis = () => setUpServer("Redis", "redis-server", "redis-server");

function setUpServer(title, program, name) {
  const find = () => [program, `/usr/sbin/${program}`].map((path) => ask("which", [path])).find((path) => path);
  if (find() === undefined && isDebianRoot()) installFromDebian(name);
  if (find() === undefined) say(`${title} is left out: it needs to be installed (apt-get install ${name})`);
  return find();
}

/** The releases of Debian whose PgBouncers the field tests use, by the version of each. */
const pgBouncerReleases = { 1.18: "bookworm", 1.24: "trixie" };

/**
 * Sets up the PgBouncers of several releases of Debian, whichever of them this is. Each has its own libraries. Returns
 * the command that starts each, and says which are left out.
 *
 * @returns {Record<string, string[]>}
 */
export function setUpPgBouncers() {
  const commands = {};
  for (const [version, release] of Object.entries(pgBouncerReleases)) {
    const folder = join(toolsFolder, `pgbouncer-${release}`);
    if (!existsSync(folder)) unpackFromDebian(release, "pgbouncer", /^(lib(?!.*perl)|pgbouncer$|zlib)/, folder);
    if (existsSync(folder)) commands[version] = commandIn(folder, "pgbouncer");
    else say(`PgBouncer ${version} is left out: it is tested on Debian, with the package of ${release}`);
  }
  return commands;
}

/** Unpacks a package of a release of Debian into a folder, with those that it needs and `wanted` matches. */
function unpackFromDebian(release, name, wanted, folder) {
  const own = /^VERSION_CODENAME=(\w+)$/m.exec(existsSync(osRelease) ? readFileSync(osRelease, "utf8") : "")?.[1];
  const archives = ask("apt-get", ["indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]);
  const archive = archives
    ?.split("\n")
    .find((line) => line.startsWith(`${own} `))
    ?.split(" ")[1];
  if (archive === undefined) return;
  say(`unpacking ${name} of Debian's ${release} into target/tools (usually ten seconds)`);
  const work = `${folder}.new`;
  rmSync(work, { recursive: true, force: true });
  for (const part of ["lists/partial", "cache/archives/partial", "root"])
    mkdirSync(join(work, part), { recursive: true });
  writeFileSync(join(work, "status"), "");
  const key = "/usr/share/keyrings/debian-archive-keyring.gpg";
  writeFileSync(join(work, "sources.list"), `deb [signed-by=${key}] ${archive} ${release} main\n`);
  const options = {
    "Dir::Etc::SourceList": join(work, "sources.list"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::State::Lists": join(work, "lists"),
    "Dir::State::Status": join(work, "status"),
    "Dir::Cache": join(work, "cache"),
    "APT::Sandbox::User": "",
    "Acquire::Languages": "none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
  };
  const apt = (...args) =>
    ask("apt-get", ["-qq", ...Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]), ...args], {
      cwd: work,
    });
  if (apt("update") === undefined) return;
  const packages = apt("install", "--no-install-recommends", "--print-uris", name)
    ?.split("\n")
    .map((line) => line.split(" ")[1].split("_")[0])
    .filter((name) => wanted.test(name));
  if (packages === undefined || apt("download", ...packages) === undefined) return;
  for (const file of readdirSync(work).filter((file) => file.endsWith(".deb")))
    run("dpkg-deb", ["-x", join(work, file), join(work, "root")]);
  renameSync(join(work, "root"), folder);
  rmSync(work, { recursive: true });
}

const osRelease = "/etc/os-release";

/** Returns what starts a program that was unpacked, with the libraries and the loader beside it. */
function commandIn(folder, name) {
  const files = readdirSync(folder, { recursive: true }).map(String);
  const find = (pattern) => files.filter((file) => pattern.test(file)).map((file) => join(folder, file));
  const [loader] = find(/\/ld-linux[^/]*\.so\.\d$/);
  const libraries = new Set(find(/\/lib[^/]*\.so\.[^/]*$/).map((file) => dirname(file)));
  const [program] = find(new RegExp(`bin/${name}$`));
  return [loader, "--library-path", [...libraries].join(":"), program];
}

export function isDebianRoot() {
  return process.getuid?.() === 0 && existsSync("/etc/debian_version");
}

export function installFromDebian(...packages) {
  say(`installing Debian's ${packages.join(" and ")} (usually half a minute)`);
  run("apt-get", ["update", "-qq"]);
  run("apt-get", ["install", "-y", "-qq", ...packages], { env: { DEBIAN_FRONTEND: "noninteractive" } });
}
