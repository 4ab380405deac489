// The guard: a statement of a lease that has ended never reaches the connection of the next caller, and everything else
// of the connection is as the driver made it.

import { expect } from "chai";
import { AssertionPool, InvalidRequestError, NullPool, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import { Log, gate, rejection, scriptedPool, settled, thrown } from "./scripted.mjs";

/** A driver's connection with private state, as classes of drivers have it. */
class Client {
  #ran = [];
  #limit = 0;
  name = "client";
  listeners = 0;
  /** An arrow function of its own. */
  bound = () => this.#ran.length;

  query(text) {
    this.#ran.push(text);
    return Promise.resolve(text);
  }

  end() {
    this.#ran.push("end");
  }

  on() {
    this.listeners++;
    return this;
  }

  get ran() {
    return this.#ran;
  }

  get limit() {
    return this.#limit;
  }

  set limit(limit) {
    this.#limit = limit;
  }
}

const dialect = { doRollback: (client) => client.query("rollback"), doClose: () => {}, guarded: ["query", "end"] };

/** A pool of guarded clients. */
function guardedPool(options = {}, Kind = QueuePool) {
  const clients = [];
  const log = new Log();
  const create = () => {
    const client = new Client();
    clients.push(client);
    return client;
  };
  const sizes = Kind === QueuePool ? { poolSize: 1, maxOverflow: 0 } : {};
  return { pool: new Kind(create, { dialect, logger: log, ...sizes, ...options }), clients, log };
}

const every = { QueuePool, NullPool, StaticPool, SingletonThreadPool, AssertionPool };

export default (test) => {
  test("a statement that is late in Promise.all does not run in the next caller's transaction", async () => {
    const { pool, clients } = guardedPool();
    const late = gate();
    const failure = new Error("A fails");
    let refused;
    const work = pool.use(async (client) => {
      await client.query("begin");
      const other = late.promise.then(() => client.query("late"));
      refused = rejection(other);
      await Promise.all([Promise.reject(failure), other]);
    });
    expect(await rejection(work)).to.equal(failure);
    await pool.use(async (client) => {
      await client.query("begin");
      late.open();
      await settled();
      await client.query("commit");
    });
    expect(clients[0].ran).to.deep.equal(["begin", "rollback", "begin", "commit", "rollback"]);
    const error = await refused;
    expect(error).to.be.instanceOf(InvalidRequestError);
    expect(error.message).to.include("has ended").and.to.include(pool.loggingName);
  });

  for (const [name, Kind] of Object.entries(every)) {
    test(`${name}: an ended lease's connection refuses statements, however the lease ended`, async () => {
      const ends = [
        (lease) => lease.close(),
        (lease) => lease[Symbol.asyncDispose](),
        (lease) => lease.close({ transactionWasReset: true }),
        (lease) => lease.invalidate(),
        (lease) => lease.detach().then(() => lease.close()),
      ];
      for (const end of ends) {
        const closing = gate();
        const { pool, clients } = guardedPool({ dialect: { ...dialect, doClose: () => closing.promise } }, Kind);
        const lease = await pool.connect();
        const { connection } = lease;
        const { query } = connection;
        await connection.query("mine");
        await query("detached method");
        const ended = end(lease);
        await settled();
        const ran = [...clients[0].ran];
        expect(ran.slice(0, 2)).to.deep.equal(["mine", "detached method"]);
        for (const statement of [() => connection.query("late"), () => query("late"), () => connection.end()])
          expect(await rejection(statement())).to.be.instanceOf(InvalidRequestError);
        expect(clients[0].ran).to.deep.equal(ran);
        closing.open();
        await ended;
      }
    });
  }

  test("a statement that was sent before the return still runs, before the reset", async () => {
    const { pool, clients } = guardedPool();
    let sent;
    await pool.use((client) => void (sent = client.query("un-awaited")));
    expect(await sent).to.equal("un-awaited");
    expect(clients[0].ran).to.deep.equal(["un-awaited", "rollback"]);
  });

  test("a detached connection is its holder's until the close, and refuses what comes later", async () => {
    const { pool, clients } = guardedPool();
    const lease = await pool.connect();
    const { connection } = lease;
    await lease.detach();
    expect(lease.connection).to.equal(connection);
    expect(await connection.query("detached")).to.equal("detached");
    await pool.use((client) => client.query("another's"));
    await lease.close();
    expect(clients[0].ran).to.deep.equal(["detached", "rollback"]);
    expect(clients[1].ran).to.deep.equal(["another's", "rollback"]);
  });

  test("a connection that was closed answers a late statement itself: no other caller has it", async () => {
    for (const end of [(lease) => lease.invalidate(), (lease) => lease.detach().then(() => lease.close())]) {
      const { pool, clients } = guardedPool();
      const lease = await pool.connect();
      const { connection } = lease;
      await end(lease);
      expect(await connection.query("late")).to.equal("late");
      expect(clients[0].ran.at(-1)).to.equal("late");
    }
  });

  test("the ended lease of a connection that another caller detached is refused, too", async () => {
    const { pool, clients } = guardedPool();
    const first = await pool.connect();
    const { connection } = first;
    await first.close();
    const second = await pool.connect();
    await second.detach();
    expect(await rejection(connection.query("late"))).to.be.instanceOf(InvalidRequestError);
    expect(clients[0].ran).to.deep.equal(["rollback"]);
  });

  test("sharers have one facade, which ends with the last of them", async () => {
    for (const Kind of [StaticPool, SingletonThreadPool]) {
      const { pool, clients } = guardedPool({}, Kind);
      const [first, second] = [await pool.connect(), await pool.connect()];
      const { connection } = first;
      expect(second.connection).to.equal(connection);
      await first.close();
      await connection.query("another still shares it");
      await second.close();
      expect(await rejection(connection.query("late"))).to.be.instanceOf(InvalidRequestError);
      await pool.use(async (client) => {
        expect(await rejection(connection.query("late"))).to.be.instanceOf(InvalidRequestError);
        await client.query("the next caller's");
      });
      expect(clients[0].ran).to.not.include("late");
    }
  });

  test("a caller that waits gets a facade of its own", async () => {
    const { pool, clients } = guardedPool();
    const first = await pool.connect();
    const { connection } = first;
    const next = pool.connect();
    await first.close();
    await (await next).connection.query("own");
    expect(await rejection(connection.query("late"))).to.be.instanceOf(InvalidRequestError);
    expect(clients[0].ran).to.deep.equal(["rollback", "own"]);
  });

  test("the facade is the connection in all but its identity", async () => {
    const { pool, clients } = guardedPool();
    await pool.use(async (client, lease) => {
      const [own] = clients;
      expect(client).to.be.instanceOf(Client).and.not.to.equal(own);
      expect(lease.connection).to.equal(client);
      expect([client.name, client.limit, client.constructor, client.missing]).to.deep.equal([
        "client",
        0,
        Client,
        undefined,
      ]);
      client.limit = 7;
      client.name = "renamed";
      client.extra = 1;
      expect([own.limit, own.name, own.extra]).to.deep.equal([7, "renamed", 1]);
      expect(client.on("error", () => {})).to.equal(client);
      expect(own.listeners).to.equal(1);
      expect(client.bound()).to.equal(0);
      expect(client.on).to.equal(client.on);
      expect(Object.keys(client)).to.deep.equal(Object.keys(own));
      delete client.extra;
      expect("extra" in own).to.equal(false);
    });
  });

  test("a guarded method that the program replaced is guarded, and called on the connection", async () => {
    const { pool, clients } = guardedPool();
    const lease = await pool.connect();
    const { connection } = lease;
    const traced = [];
    connection.query = function (text) {
      traced.push(text, this === clients[0]);
      return Client.prototype.query.call(this, text);
    };
    await connection.query("traced");
    await lease.close();
    expect(await rejection(connection.query("late"))).to.be.instanceOf(InvalidRequestError);
    expect(traced.slice(0, 2)).to.deep.equal(["traced", true]);
    expect(clients[0].ran).to.deep.equal(["traced", "rollback"]);
  });

  test("a frozen connection is passed on as it is, and one that is no object, too", async () => {
    const frozen = Object.freeze({ query: () => "answer", rollback() {}, close() {} });
    for (const connection of [frozen, 7, "text", Symbol.iterator]) {
      const options = { dialect: { guarded: ["query"], doRollback() {}, doClose() {} }, logger: new Log() };
      const pool = new QueuePool(() => connection, options);
      await pool.use((client) => {
        if (typeof client === "object") expect(client.query()).to.equal("answer");
        else expect(client).to.equal(connection);
      });
    }
  });

  test("listeners, finalizers, records and the dialect have the driver's own connection", async () => {
    const seen = [];
    const note = (connection) => void seen.push(connection);
    const disconnect = new Error("gone");
    const { pool, clients } = guardedPool({
      dialect: {
        doRollback: note,
        doTerminate: note,
        guarded: ["query"],
        isDisconnect: (error, connection) => (note(connection), error === disconnect),
      },
      events: { connect: note, checkout: note, reset: note, checkin: note },
    });
    await pool.use((_, lease) => {
      note(lease.record.connection);
      lease.record.finalize(note);
    });
    expect(await rejection(pool.use(() => Promise.reject(disconnect)))).to.equal(disconnect);
    expect(seen.filter((connection) => connection !== null)).to.have.length.above(8);
    for (const connection of seen) expect([clients[0], null]).to.include(connection);
  });

  test("doRefuse answers in the driver's manner, with the error, the arguments and the connection", async () => {
    const refusals = [];
    const doRefuse = function (...given) {
      refusals.push([this === refusing, ...given]);
      return "refused";
    };
    const refusing = { ...dialect, doRefuse };
    const { pool, clients } = guardedPool({ dialect: refusing });
    const client = await pool.use((used) => used);
    expect(client.query("late", 7)).to.equal("refused");
    const [[isMethod, error, given, connection, name]] = refusals;
    expect(error).to.be.instanceOf(InvalidRequestError);
    expect([isMethod, given, connection, name]).to.deep.equal([true, ["late", 7], clients[0], "query"]);
    const throwing = guardedPool({ dialect: { ...dialect, doRefuse: (failure) => thrower(failure) } });
    const other = await throwing.pool.use((used) => used);
    expect(thrown(() => other.query("late"))).to.be.instanceOf(InvalidRequestError);
  });

  test("a dialect may say by a function which methods are guarded: no symbol is one", async () => {
    const asked = new Set();
    const guarded = (name) => (asked.add(name), name === "query");
    const { pool } = guardedPool({ dialect: { ...dialect, guarded } });
    const client = await pool.use((used) => (used.query("in time"), used[Symbol.iterator], used));
    expect(await rejection(client.query("late"))).to.be.instanceOf(InvalidRequestError);
    expect([...asked].every((name) => typeof name === "string")).to.equal(true);
    expect(asked.has("query")).to.equal(true);
  });

  test("without the guard, or a dialect that names methods, callers have the driver's own connection", async () => {
    for (const options of [{ guard: false }, { dialect: { doRollback() {} } }]) {
      const { pool, clients } = guardedPool(options);
      await pool.use((client, lease) => {
        expect(client).to.equal(clients[0]);
        expect(lease.connection).to.equal(client);
      });
    }
    const { pool, server } = scriptedPool();
    expect(await pool.use((connection) => connection)).to.equal(server.connections[0]);
  });

  test("a lease that checkout listeners see has the facade that its caller gets", async () => {
    const { pool } = guardedPool();
    let shown;
    pool.on("checkout", (_client, _record, lease) => void (shown = lease.connection));
    await pool.use((client) => expect(client).to.equal(shown));
  });
};

function thrower(error) {
  throw error;
}
