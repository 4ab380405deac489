// A PgBouncer in front of a PostgreSQL, as the benchmark compares with it: transaction mode, five connections, and the
// authentication that it has by default, which is cheaper than the one of PostgreSQL.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../scripts/postgres.mjs";

/** Starts `binary` in front of the server of `options`; answers its port and how to stop it. */
export async function startPgBouncer(binary, { host, port, user, password, database }) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-pgbouncer-"));
  chmodSync(folder, 0o755);
  const ownPort = await freePort();
  writeFileSync(join(folder, "users.txt"), `"${user}" "${password}"\n`);
  writeFileSync(
    join(folder, "pgbouncer.ini"),
    `[databases]
${database} = host=${host} port=${port} user=${user} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${ownPort}
unix_socket_dir =
auth_type = md5
auth_file = ${join(folder, "users.txt")}
pool_mode = transaction
default_pool_size = 5
max_client_conn = 1000
log_connections = 0
log_disconnections = 0
`,
  );
  // It refuses to run as root.
  const args = [...(process.getuid?.() === 0 ? ["-u", "postgres"] : []), "-q", join(folder, "pgbouncer.ini")];
  const child = spawn(binary, args, { stdio: ["ignore", "inherit", "inherit"] });
  const exited = once(child, "exit");
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  for (let attempt = 0; !(await takesConnections(ownPort)); attempt++) {
    if (child.exitCode !== null || attempt > 200) throw new Error("pgbouncer took no connections");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return {
    port: ownPort,
    async stop() {
      kill();
      await exited;
      process.off("exit", kill);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function takesConnections(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
