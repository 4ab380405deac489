// The simulated database: a server that opens connections, runs queries, rolls back, answers pings and closes. Each
// takes virtual time and may fail, according to the current conditions (settings.js). It knows nothing of pools; the
// pool uses its `dialect`. watched-pool.js makes one for each pool and reads the state of its connections.

import { spread } from "./seeded-random.js";

const pauseOfRestartMs = 2000;
const terminateMs = 60;

export class SimulatedDatabase {
  /** Every connection from the beginning of its opening to the end of its close. */
  connections = new Set();
  /** Called with a connection when its opening begins, and when it has ended. */
  onBegin = () => {};
  onGone = () => {};
  #time;
  #random;
  #conditions;
  #made = 0;
  #upAgainAt = 0;

  /** `conditions` returns the current settings. */
  constructor(time, random, conditions) {
    this.#time = time;
    this.#random = random;
    this.#conditions = conditions;
  }

  get isDown() {
    return this.#time.now < this.#upAgainAt;
  }

  /** The creator. */
  open = async () => {
    const { connect, openFailures } = this.#conditions();
    const connection = new SimulatedConnection(++this.#made, this.#time.now);
    this.connections.add(connection);
    this.onBegin(connection);
    const fails = this.#random() * 100 < openFailures;
    try {
      await this.#busy(connection, "opening", (this.isDown ? 0.2 : 1) * connect * spread(this.#random));
      if (this.isDown) throw new Error("connection refused: the server is restarting");
      if (fails) throw new Error("the server refused the connection");
    } catch (error) {
      this.#gone(connection);
      throw error;
    }
    return connection;
  };

  /** `weight`: the time of this query relative to the usual one; `fails`: whether the server answers with an error. */
  async query(connection, weight, fails) {
    if (!connection.isAlive) throw lost();
    await this.#busy(connection, "querying", this.#conditions().query * weight);
    if (fails) throw new Error("the query failed");
  }

  dialect = {
    name: "simulated",
    inTransaction: (connection) => connection.inTransaction,
    doRollback: (connection) => this.#endTransaction(connection),
    doCommit: (connection) => this.#endTransaction(connection),
    doClose: async (connection) => {
      await this.#time.sleep(this.#enter(connection, "closing", this.#roundTrip()));
      this.#gone(connection);
    },
    doTerminate: async (connection) => {
      connection.isAlive = false;
      await this.#time.sleep(this.#enter(connection, "closing", terminateMs));
      this.#gone(connection);
    },
    doPing: async (connection) => {
      try {
        await this.#busy(connection, "checking", this.#roundTrip());
      } catch {
        return false;
      }
      return connection.isAlive;
    },
    isDisconnect: (error) => error.isLost === true,
    onDisconnect: (connection, died) => {
      connection.reportDeath = died;
      return () => (connection.reportDeath = undefined);
    },
  };

  async #endTransaction(connection) {
    if (!connection.isAlive) throw lost();
    await this.#busy(connection, "resetting", this.#roundTrip());
    connection.inTransaction = false;
  }

  /** Breaks a connection. A running query fails. The driver reports an idle one, unless deaths are silent. */
  kill(connection) {
    if (!connection.isAlive) return;
    connection.isAlive = false;
    for (const fail of connection.underWay) fail(lost());
    if (!this.#conditions().silent) connection.reportDeath?.(lost());
  }

  /** Breaks every connection, and refuses openings for a while. */
  restart() {
    this.#upAgainAt = this.#time.now + pauseOfRestartMs;
    const before = [...this.connections];
    for (const connection of before) this.kill(connection);
  }

  #roundTrip() {
    return 0.35 * this.#conditions().query * spread(this.#random);
  }

  #enter(connection, doing, ms) {
    connection.doing = doing;
    connection.since = this.#time.now;
    connection.until = this.#time.now + ms;
    return ms;
  }

  /** Takes `ms` milliseconds, unless the connection breaks before. */
  async #busy(connection, doing, ms) {
    this.#enter(connection, doing, ms);
    let timer;
    let fail;
    try {
      await new Promise((resolve, reject) => {
        fail = reject;
        connection.underWay.add(fail);
        timer = this.#time.after(ms, resolve);
      });
    } finally {
      connection.underWay.delete(fail);
      this.#time.cancel(timer);
      if (connection.doing === doing) connection.doing = "nothing";
    }
  }

  #gone(connection) {
    connection.isAlive = false;
    connection.doing = "gone";
    if (this.connections.delete(connection)) this.onGone(connection);
  }
}

class SimulatedConnection {
  isAlive = true;
  inTransaction = false;
  /** "opening", "querying", "resetting", "checking", "closing", "gone", or "nothing". */
  doing = "opening";
  /** The start of what it is doing, and the expected end. */
  since = 0;
  until = 0;
  reportDeath = undefined;
  /** The functions that fail the running calls. */
  underWay = new Set();

  constructor(id, beganAt) {
    this.id = id;
    this.beganAt = beganAt;
  }
}

function lost() {
  return Object.assign(new Error("the connection was lost"), { isLost: true });
}
