// The Worker of durable-object.test.mjs: Durable Objects that host pools, and one handler for each thing that a caller
// may do with them. A path is a handler's name; it answers JSON. Decides nothing: what is right, the test says.

import { poolOf, PoolObject } from "edgepool/durable-object";
import { PoolError, PoolTimeoutError } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { env as environment } from "cloudflare:workers";
import { Client } from "pg";

/** A creator whose backends bear the class's name and the object's id. */
const creator = (name, ctx, env) => async () => {
  const client = new Client({
    connectionString: env.DATABASE_URL,
    application_name: `${name}-${ctx.id.toString().slice(0, 8)}`,
  });
  client.on("error", () => {});
  await client.connect();
  return client;
};

/** As users write it: every default. */
export class Database extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, creator("Database", ctx, env), { dialect: pg });
  }

  /** An RPC method of the user's own. */
  countTo(last) {
    return this.pool.use(
      async (client) =>
        (await client.query("SELECT count(*)::int AS n FROM generate_series(1, $1::int)", [last])).rows[0].n,
    );
  }

  /** What a new version of the code, or a failure of the host, does. */
  reset() {
    this.ctx.abort("reset for the test");
  }
}

/** One connection. */
export class Narrow extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, creator("Narrow", ctx, env), { dialect: pg, poolSize: 1 });
  }
}

/** Counts what its one connection writes to its socket, and what it reads. */
export class Counting extends PoolObject {
  constructor(ctx, env) {
    const open = creator("Counting", ctx, env);
    super(
      ctx,
      env,
      async () => {
        const client = await open();
        const { stream } = client.connection;
        this.stream = stream;
        const write = stream.write.bind(stream);
        stream.write = (...given) => (this.writes++, write(...given));
        stream.on("data", () => this.reads++);
        return client;
      },
      { dialect: pg, poolSize: 1 },
    );
    this.writes = 0;
    this.reads = 0;
  }

  count() {
    return { writes: this.writes, reads: this.reads };
  }

  /** What a network does. */
  cut() {
    this.stream.destroy();
  }
}

/** One connection, whose client gives a statement 300 ms. */
export class Hasty extends PoolObject {
  constructor(ctx, env) {
    const open = async () => {
      const client = new Client({ connectionString: env.DATABASE_URL, query_timeout: 300 });
      client.on("error", () => {});
      await client.connect();
      return client;
    };
    super(ctx, env, open, { dialect: pg, poolSize: 1 });
  }
}

/** One connection, whose reset does not come to an end. */
export class Sluggish extends PoolObject {
  constructor(ctx, env) {
    const doResetSession = (client) => client.query("SELECT pg_sleep(60)");
    super(ctx, env, creator("Sluggish", ctx, env), { dialect: { ...pg, doResetSession }, poolSize: 1 });
  }
}

/** pg's own pipeline refuses what is not its own query. */
export class Pipelined extends PoolObject {
  constructor(ctx, env) {
    super(
      ctx,
      env,
      async () => {
        const client = new Client({ connectionString: env.DATABASE_URL, pipeline: true });
        client.on("error", () => {});
        await client.connect();
        return client;
      },
      { dialect: pg, poolSize: 1 },
    );
  }
}

/** One connection, and no lease is out for long. */
export class Bounded extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, creator("Bounded", ctx, env), {
      dialect: pg,
      poolSize: 1,
      holdLimit: "300ms",
      onHoldLimit: "terminate",
    });
  }
}

/** Keeps nothing for long. */
export class Brief extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, creator("Brief", ctx, env), { dialect: pg, idleTimeout: "200ms" });
  }
}

/** A driver without query(), and a creator that may fail. */
export class Foreign extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, () => ({ ask: (text) => text.toUpperCase(), rollback() {} }), {
      runQuery: (connection, text) => ({
        rows: [{ said: text === "a symbol" ? Symbol("said") : connection.ask(text) }],
      }),
    });
  }
}

/** A dialect that cannot know whether a transaction is open. */
export class Untold extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, creator("Untold", ctx, env), { dialect: { ...pg, inTransaction: undefined } });
  }
}

class Interval {
  days = 1;
}

/** What drivers may throw, by the statement. */
const thrown = {
  instance: () =>
    Object.assign(new Error("its detail is an instance"), {
      code: "E_REAL",
      detail: new Interval(),
      at: { line: 7, span: new Interval() },
      when: new Date(0),
    }),
  getter: () =>
    Object.defineProperty(Object.assign(new Error("a property throws"), { code: "E_REAL" }), "detail", {
      enumerable: true,
      get() {
        throw new Error("the getter");
      },
    }),
  client: () => {
    const error = Object.assign(new Error("a graph hangs on it"), {
      code: "E_REAL",
      lines: "x".repeat(40e6),
      rows: Array(1e6).fill("row"),
    });
    return Object.assign(error, { self: error, graph: { error, again: [error, error] } });
  },
  aggregate: () =>
    Object.assign(
      new AggregateError(
        [
          new Error("connect ECONNREFUSED ::1"),
          Object.assign(new Error("connect ECONNREFUSED 127.0.0.1"), { port: 5432 }),
        ],
        "",
      ),
      { code: "ECONNREFUSED" },
    ),
  many: () =>
    new AggregateError(
      Array.from({ length: 1000 }, (_, number) => new Error(`error ${number}`)),
      "all of them",
    ),
  plain: () => ({ code: "E_PLAIN", message: "thrown without a class", at: { line: 7 } }),
  bare: () => Object.create(null),
  unreadable: () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  circular: () => {
    const error = new AggregateError([], "itself");
    error.errors.push(error);
    return error;
  },
  unreadableFunction: () =>
    Object.assign(() => {}, {
      toString: () => {
        throw new Error("the text");
      },
    }),
  text: () => "a text",
  nothing: () => undefined,
};

/** What drivers may answer, by the statement. */
const answered = {
  "a null row": { rows: [{ n: 1 }, null] },
  "a text row": { rows: ["ab"] },
  "no list of fields": { rows: [], fields: 5 },
  "a null field": { rows: [], fields: [null] },
  "a count that is none": { rows: [], rowCount: () => 1 },
  huge: { rows: [{ text: "x".repeat(40e6) }] },
  "a hidden instance": { rows: [{ value: { site: new URL("https://example.org/") } }] },
  "a function within": { rows: [{ value: [1, { call() {} }] }] },
  "a symbol": { rows: [[Symbol("said")]] },
  "itself within": { rows: [itself()] },
};

/** What a driver may answer and what arrives of it. */
const odd = {
  instances: { value: { span: new Interval(), list: [new Interval()] } },
  map: { value: new Map([["a", new Set([1, new Map()])]]) },
  "no prototype": { value: Object.assign(Object.create(null), { a: Object.assign(Object.create(null), { b: 1 }) }) },
};

function itself() {
  const row = { n: 1 };
  row.row = row;
  return row;
}

/** As drivers do it that read a packet: three bytes, and other columns around them. */
function packet() {
  const bytes = new TextEncoder().encode("name=ann;secret=hunter2;blob=abc;");
  return { rows: [{ blob: Buffer.from(bytes.buffer, 29, 3), floats: new Float32Array(new ArrayBuffer(4096), 8, 1) }] };
}

/** A driver that echoes its values and names their types, or else behaves as the statement says. */
export class Odd extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, () => ({ rollback() {} }), {
      async *readRows(connection, text, values, { rowMode }) {
        for (let n = 1; n <= values[0]; n++) {
          if (text === n) throw new Error("unreachable");
          yield rowMode === "array" ? [n] : { n };
        }
        if (text === "breaks") throw Object.assign(new Error("it broke off"), { code: "E_BROKE" });
      },
      runQuery: (connection, text, values = []) => {
        if (text in thrown) throw thrown[text]();
        if (text === "a packet") return packet();
        if (text in odd) return { rows: [odd[text]] };
        return answered[text] ?? { rows: values.map((value) => ({ type: typeOf(value), value })) };
      },
    });
  }
}

export class Unreachable extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, async () => {
      throw Object.assign(new Error("no server there", { cause: new Error("the socket says no") }), {
        code: "ECONNREFUSED",
        retry: () => {},
      });
    });
  }
}

export class Mistaken extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, () => ({}), { poolSize: -3 });
  }
}

const typeOf = (value) => (value === null ? "null" : typeof value === "object" ? value.constructor.name : typeof value);

const atModuleScope = poolOf(environment.DATABASE, { name: "module-scope" });
const isolate = { requests: 0, number: 0 };

/** An error as JSON, with what a caller would ask of it. */
const told = (error) => ({
  ...error,
  name: error.name,
  message: error.message,
  stack: error.stack,
  cause: error.cause?.message,
  isPoolError: error instanceof PoolError,
  isPoolTimeout: error instanceof PoolTimeoutError,
});
const failureOf = (promise) => Promise.resolve(promise).then((value) => ({ unexpected: value }), told);
const attempt = (call) => failureOf((async () => call())());
const pid = async (queryable) => (await queryable.query("SELECT pg_backend_pid() AS pid")).rows[0].pid;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Takes a lease and leaves a transaction open on it. */
async function open(pool) {
  const lease = await pool.lease();
  await lease.batch(["BEGIN", "INSERT INTO marks VALUES ('left open')"], { transaction: false });
  return lease;
}

const handlers = {
  async crosses({ env }) {
    const values = [
      new Date(0),
      { a: [1, { b: null }] },
      null,
      Buffer.from("abc"),
      new Uint8Array([1, 255]),
      2n ** 80n,
      true,
      "ö",
      1.5,
    ];
    const { rows } = await poolOf(env.ODD).query("echo", values);
    return rows.map(({ type, value }) => [
      type,
      typeOf(value),
      typeof value === "bigint" ? String(value) : value instanceof Uint8Array ? [...value] : value,
    ]);
  },
  async thrown({ env, key }) {
    const { name, message, code, stack, cause, ...error } = await poolOf(env.ODD)
      .query(key)
      .catch((error) =>
        Object.assign(error, { isAggregate: error instanceof AggregateError, all: error.errors?.map(told) }),
      );
    return {
      name,
      message,
      code,
      stack,
      cause: cause?.message,
      ...error,
      inLease: (await failureOf(poolOf(env.ODD).use((lease) => lease.query(key)))).message,
      inBatch: (await failureOf(poolOf(env.ODD).batch(["echo", key]))).message,
    };
  },
  async answered({ env, key }) {
    const pool = poolOf(env.ODD);
    const lease = await pool.lease();
    const inLease = await failureOf(lease.query(key));
    const goesOn = (await lease.query("echo", [1])).rows;
    await lease.release();
    return { inPool: await failureOf(pool.query(key)), inLease, goesOn };
  },
  async ownBytes({ env, pool }) {
    const [row] = (await poolOf(env.ODD).query("a packet")).rows;
    const view = new Uint8Array(new ArrayBuffer(40 * 2 ** 20), 7, 3).fill(97);
    const sent = await pool.query("SELECT $1::bytea AS bytes, $2::jsonb AS json", [view, { inside: [1] }]);
    const [{ value }] = (await poolOf(env.ODD).query("echo", [{ list: [Buffer.from("abc")] }])).rows;
    return {
      blob: [String.fromCharCode(...row.blob), row.blob.constructor.name, row.blob.buffer.byteLength],
      floats: [row.floats.constructor.name, row.floats.length, row.floats.buffer.byteLength],
      sent: [...sent.rows[0].bytes],
      within: [value.list[0].constructor.name, value.list[0].buffer.byteLength],
    };
  },
  async collections({ env, pool }) {
    const odd = poolOf(env.ODD);
    const read = async (key) => (await odd.query(key)).rows[0].value;
    const map = await read("map");
    const values = [new Map([[1, new Set([2])]]), Object.create(null), new Uint8Array([1, 2]).buffer];
    const echoed = await odd.query("echo", values);
    return {
      instances: await read("instances"),
      map: [map instanceof Map, map.get("a") instanceof Set, [...map.get("a")][1] instanceof Map],
      bare: await read("no prototype"),
      echoed: echoed.rows.map(({ type }) => type),
      bytes: [...(await pool.query("SELECT $1::bytea AS b", [new Uint8Array([1, 2]).buffer])).rows[0].b],
      asJson: (await pool.query("SELECT $1::jsonb AS json", [Object.assign(Object.create(null), { a: 1 })])).rows,
      written: await failureOf(pool.query("SELECT $1::jsonb", [{ a: [new Map()] }])),
      inBatch: await failureOf(pool.batch([{ text: "SELECT $1::jsonb", values: [new Set()] }])),
    };
  },
  async tooMuch({ pool }) {
    const lease = await open(pool);
    const answer = {
      result: await failureOf(lease.query("SELECT repeat('x', 40000000)")),
      value: await failureOf(lease.query("SELECT $1", ["x".repeat(40e6)])),
    };
    await lease.query("COMMIT");
    await lease.release();
    return answer;
  },
  async unknownCalls({ env }) {
    const object = env.DATABASE.get(env.DATABASE.idFromName("pool"));
    using lease = await object.lease();
    return [
      await object.answerPoolOf("nonsense", []),
      await object.answerPoolOf(),
      await object.answerPoolOf("query"),
      await lease.answerPoolOf("nonsense", []),
      await lease.answerPoolOf("query"),
    ];
  },
  async ownTransaction({ pool, key }) {
    const lease = await pool.lease();
    await lease.query(key);
    await lease.query("INSERT INTO marks VALUES ('in the open')");
    const nested = await failureOf(lease.batch(["INSERT INTO marks VALUES ('nested')"]));
    await lease.query("ROLLBACK TO SAVEPOINT nowhere").catch(() => {});
    const stillNested = await failureOf(lease.batch(["INSERT INTO marks VALUES ('nested')"]));
    await lease.query("/* it is over */ ROLLBACK;");
    await lease.batch(["INSERT INTO marks VALUES ('afterwards')"]);
    await lease.release();
    return { nested, stillNested };
  },
  async endsWithin({ pool, key }) {
    return failureOf(
      pool.batch(["INSERT INTO marks VALUES ('before it')", key, "INSERT INTO marks VALUES ('after it')"]),
    );
  },
  async types({ pool }) {
    const {
      rows: [row],
      ...rest
    } = await pool.query(
      `SELECT $1::int AS number, $2::text AS text, $3::timestamptz AS date, $4::bytea AS bytes, $5::jsonb AS json,
         NULL AS nothing, '1 day 2 hours'::interval AS span, ARRAY[1, 2] AS list, $6::int8 AS big,
         point(1, 2) AS point`,
      [7, "ö'\n", new Date(0), new Uint8Array([1, 255]), { a: [1] }, 2n ** 60n],
    );
    return {
      row: { ...row, bytes: [...row.bytes] },
      isDate: row.date instanceof Date,
      isBytes: row.bytes instanceof Uint8Array,
      ...rest,
    };
  },
  async commands({ pool }) {
    const inserted = await pool.query("INSERT INTO marks VALUES ('inserted')");
    const several = await pool.query("SELECT 1 AS one; SELECT 2 AS two");
    const {
      rows: [row],
    } = await pool.query("SELECT 3 AS three", null);
    return { inserted, several: several.rows, row };
  },
  async named({ pool }) {
    const one = { name: "one", text: "SELECT $1::int AS n" };
    const answers = [
      await pool.query({ ...one, values: [1] }),
      await pool.query(one, [2]),
      ...(await pool.batch([
        { ...one, values: [3] },
        { ...one, values: [4] },
      ])),
      await pool.use((lease) => lease.query({ ...one, values: [5] })),
      // Another version of the Worker.
      await pool.query({ ...one, text: "SELECT $1::int + 1 AS n", values: [5] }),
    ];
    const prepared = await pool.query(
      "SELECT name, statement FROM pg_prepared_statements WHERE name NOT LIKE 'edgepool-%' ORDER BY prepare_time",
    );
    return { numbers: answers.map(({ rows }) => rows[0].n), prepared: prepared.rows };
  },
  async namedAlike({ pool }) {
    const numbersOf = async (results) => (await results).map(({ rows }) => rows[0].n);
    const named = (number) => ({ name: "alike", text: `SELECT ${number} AS n` });
    const long = (end) => ({ name: "x".repeat(63) + end, text: `SELECT ${end} AS n` });
    return {
      inBatch: await numbersOf(pool.batch([named(1), named(2), named(1)])),
      again: await numbersOf(pool.batch([named(2), named(3)])),
      long: await numbersOf(Promise.all([pool.query(long(1)), pool.query(long(2)), pool.query(long(1))])),
      odd: await numbersOf(
        Promise.all(["ö".repeat(40), "a\0b", "a\0c"].map((name) => pool.query({ ...named(4), name }))),
      ),
    };
  },
  async preparedAnew({ pool }) {
    await pool.query("DROP TABLE IF EXISTS shaped");
    await pool.query("CREATE TABLE shaped AS SELECT 1 AS a");
    const named = (name) => ({ name, text: "SELECT * FROM shaped" });
    const read = async (by, name) => Object.values((await by.query(named(name))).rows[0]).length;
    const stream = async (name) => {
      for await (const row of pool.stream(named(name))) return Object.values(row).length;
    };
    const answer = { first: [await read(pool, "one"), await read(pool, "two"), await read(pool, "three")] };
    await pool.query("DEALLOCATE ALL");
    answer.deallocated = [await read(pool, "one"), (await pool.batch([named("two"), named("three")])).length];
    await pool.query("DISCARD ALL");
    answer.discarded = [await stream("one"), await pool.use((lease) => read(lease, "two"))];
    await pool.query("PREPARE four AS SELECT 'of another caller'");
    answer.taken = await read(pool, "four");
    await pool.query("ALTER TABLE shaped ADD b int DEFAULT 2");
    const [three] = await pool.batch([named("three")]);
    answer.altered = [await read(pool, "one"), await stream("two"), three.fields.length];
    answer.again = [await read(pool, "one"), await read(pool, "four")];
    const path = [
      "CREATE TEMP TABLE shaped AS SELECT 1 AS a, 2 AS b, 3 AS c",
      { name: "last", text: "SELECT * FROM shaped" },
    ];
    await pool.query({ name: "last", text: "SELECT * FROM shaped" });
    answer.inLease = await pool.use(async (lease) => {
      await lease.query("BEGIN");
      await lease.query(path[0]);
      const failed = await failureOf(lease.query(path[1]));
      await lease.query("ROLLBACK");
      return [failed.code, await read(lease, "last")];
    });
    // The reset that goes along with the last one must not come before it.
    answer.behindItsReset = (await failureOf(pool.batch(path, { transaction: false }))).code ?? "it ran";
    return answer;
  },
  async shapes({ pool }) {
    const text = "SELECT 1 AS a, $1::text AS a, now() AS at, NULL AS nothing";
    const types = { getTypeParser: (id, format) => (value) => `${id} ${format} ${String(value).slice(0, 4)}` };
    const [inBatch] = await pool.batch([{ text, values: ["x"], rowMode: "array", types }]);
    return {
      ...(await pool.query({ text: "SELECT 1 AS a, $1::text AS a", values: ["two"], rowMode: "array" })),
      simple: (await pool.query({ text: "SELECT 1 AS a, 2 AS a", rowMode: "array" })).rows,
      inLease: (await pool.use((lease) => lease.query({ text, rowMode: "array" }, ["two"]))).rows[0].slice(0, 2),
      typed: (await pool.query({ text, values: ["x"], types })).rows[0],
      typedList: inBatch.rows[0],
    };
  },
  async soils({ pool, key }) {
    const soil = [
      "SET ROLE pg_monitor",
      "SELECT pg_advisory_lock(7)",
      "LISTEN chan",
      "CREATE TEMP TABLE soil (x int)",
      "SET search_path TO evil",
    ];
    const tenant = { text: "SELECT set_config('app.tenant', $1, false)", values: ["ann"] };
    const run = {
      query: async () => {
        for (const text of soil) await pool.query(text);
        await pool.query(tenant);
        await pool.query("SELECT 1; SET ROLE pg_monitor; SET search_path TO evil");
      },
      failure: () => failureOf(pool.query("SET ROLE pg_monitor; SELECT pg_advisory_lock(7); COMMIT; SELECT 1/0")),
      "open transaction": () => pool.query("BEGIN; SET ROLE pg_monitor; SET search_path TO evil"),
      batch: () => pool.batch([...soil, tenant]),
      "batch without transaction": () => pool.batch([...soil, tenant], { transaction: false }),
      lease: () => pool.use((lease) => lease.batch([...soil, tenant])),
    };
    await run[key]();
    const { rows } = await pool.query(
      `SELECT pg_backend_pid() AS pid, current_setting('search_path') AS path, current_user = session_user AS "isSelf",
         coalesce(current_setting('app.tenant', true), '') AS tenant, to_regclass('pg_temp.soil') IS NULL AS "isClean",
         (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
         (SELECT count(*)::int FROM pg_listening_channels()) AS channels`,
    );
    return rows[0];
  },
  async roundTrips({ env }) {
    const object = env.COUNTING.get(env.COUNTING.idFromName("pool"));
    const pool = poolOf(env.COUNTING);
    await pool.query("SELECT 1");
    const during = async (work) => {
      while ((await pool.stats()).used > 0) await sleep(5);
      const before = await object.count();
      await work();
      while ((await pool.stats()).used > 0) await sleep(5);
      const after = await object.count();
      return { writes: after.writes - before.writes, reads: after.reads - before.reads };
    };
    const { text, values } = { text: "SELECT $1::int AS n", values: [1] };
    return {
      plain: await during(() => pool.query("SELECT 1")),
      query: await during(() => pool.query(text, values)),
      named: await during(() => pool.query({ name: "n", text, values })),
      batch: await during(() => pool.batch([{ text, values }, "SELECT 2", { text, values }])),
      untransacted: await during(() => pool.batch([{ text, values }, "SELECT 2"], { transaction: false })),
      several: await during(() => pool.query("SELECT 1; SELECT 2")),
      failed: await during(() => failureOf(pool.query("SELECT 1/$1::int", [0]))),
    };
  },
  async alone({ env }) {
    const pool = poolOf(env.NARROW);
    await pool.query("DROP TABLE IF EXISTS vacuumed; CREATE TABLE vacuumed (n int)");
    await pool.query(`CREATE OR REPLACE PROCEDURE in_parts(n int) LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO vacuumed VALUES (n);
        COMMIT;
        PERFORM set_config('app.tenant', 'ann', false);
        INSERT INTO vacuumed VALUES (n + 1);
      END $$`);
    const { command } = await pool.query("VACUUM vacuumed");
    await pool.query("CALL in_parts($1)", [1]);
    return {
      vacuum: command,
      called: (await pool.query("SELECT max(n)::int AS n FROM vacuumed")).rows,
      tenant: (await pool.query("SELECT coalesce(current_setting('app.tenant', true), '') AS tenant")).rows[0].tenant,
    };
  },
  async deallocates({ env }) {
    const pool = poolOf(env.COUNTING, { name: "deallocates" });
    const read = async (text) => (await pool.query(text)).rows[0];
    const names = "SELECT count(*)::int AS count, pg_backend_pid() AS pid FROM pg_prepared_statements";
    const tenant = "SELECT set_config('app.tenant', 'ann', false) AS tenant";
    const next = "SELECT coalesce(current_setting('app.tenant', true), '') AS tenant";
    await read(next);
    const { count, pid } = await read(`${names} WHERE name LIKE 'edgepool-%'`);
    await pool.query("DEALLOCATE ALL");
    const tenants = [];
    for (const text of [tenant, next, tenant, next]) tenants.push((await read(text)).tenant);
    await failureOf(pool.query("SELECT 1/$1::int", [0]));
    return { count, tenants, isSame: pid === (await read(names)).pid };
  },
  async deferred({ env }) {
    const pool = poolOf(env.NARROW);
    await pool.query("DROP TABLE IF EXISTS checked; CREATE TABLE checked (tenant text, seen text)");
    await pool.query(`CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF NEW.tenant = 'ann' THEN
          RAISE check_violation USING MESSAGE = 'refused for ' || current_setting('app.tenant');
        END IF;
        UPDATE checked SET seen = current_setting('app.tenant') WHERE tenant = NEW.tenant;
        RETURN NULL;
      END $$`);
    await pool.query(`CREATE CONSTRAINT TRIGGER see AFTER INSERT ON checked DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION see()`);
    const insert = "INSERT INTO checked (tenant) SELECT set_config('app.tenant', $1, false)";
    const error = await failureOf(pool.query(insert, ["ann"]));
    await pool.query(insert, ["bob"]);
    const { rows } = await pool.query("SELECT tenant, seen FROM checked");
    return {
      error,
      seen: rows.find(({ tenant }) => tenant === "bob").seen,
      isGone: rows.length === 1,
      next: (await pool.query("SELECT coalesce(current_setting('app.tenant', true), '') AS tenant")).rows[0].tenant,
    };
  },
  async unusual({ pool }) {
    const before = await pid(pool);
    const insert = "INSERT INTO marks VALUES ('unusual')";
    const values = [{ a: 1n }];
    const answer = {
      unwritable: await failureOf(pool.batch([insert, { text: "SELECT $1::json", values }])),
      unwritableAlone: await failureOf(pool.query("SELECT $1::json", values)),
      unwritableNamed: await failureOf(pool.query({ name: "json", text: "SELECT $1::json", values })),
      namedAfterwards: (await pool.query({ name: "json", text: "SELECT $1::json AS j", values: [{ a: 1 }] })).rows,
      unparsed: await failureOf(
        pool.batch([insert, { name: "bad", text: "SELEC" }, { name: "behind", text: "SELECT 1" }]),
      ),
      behind: (await pool.query({ name: "behind", text: "SELECT 1 AS one" })).rows,
      copy: await failureOf(pool.query("/* from me */ COPY marks FROM STDIN")),
      copyInBatch: await failureOf(pool.batch([insert, "COPY marks FROM STDIN"])),
      copyBehind: await failureOf(pool.query("SELECT pg_advisory_lock(7); COPY marks FROM STDIN")),
      comment: (await pool.query("-- nothing")).rows,
      created: (await pool.batch(["CREATE TABLE made (x int)", "INSERT INTO made VALUES (1)", "DROP TABLE made"]))
        .length,
      several: (await pool.batch(["SELECT 1; SELECT 2 AS two", "SELECT 3"])).map(({ rows }) => rows[0]),
    };
    const { rows } = await pool.query("SELECT count(*)::int AS locks FROM pg_locks WHERE locktype = 'advisory'");
    return { ...answer, ...rows[0], isSame: before === (await pid(pool)) };
  },
  async pipelined({ env }) {
    const pool = poolOf(env.PIPELINED);
    const insert = "INSERT INTO marks VALUES ('pipelined')";
    return {
      query: (await pool.query({ text: "SELECT $1::int AS n", values: [1], rowMode: "array" })).rows,
      batch: (await pool.batch(["SELECT 1 AS n", { text: "SELECT $1::int AS n", values: [2] }])).map(
        ({ rows }) => rows[0].n,
      ),
      failed: await failureOf(pool.batch([insert, "SELECT 1/0"])),
    };
  },
  async streams({ pool, env }) {
    const before = await pid(pool);
    let [count, sum, units] = [0, 0, 0];
    const large = "SELECT n, repeat('x', 1000) AS text FROM generate_series(1, $1::int) AS n";
    for await (const { n, text } of pool.stream(large, [40_000])) {
      count++;
      sum += n;
      units += text.length;
    }
    const first = [];
    for await (const row of pool.stream({ text: "SELECT generate_series(1, 1000000000) AS n", rowMode: "array" })) {
      first.push(row);
      if (first.length === 5000) break;
    }
    const odd = [];
    for await (const row of poolOf(env.ODD).stream({ text: "all", values: [3], rowMode: "array" })) odd.push(...row);
    return { count, sum, units, last: first.at(-1), odd, isSame: before === (await pid(pool)) };
  },
  async streamsOfALease({ pool }) {
    const lease = await pool.lease();
    await lease.query("BEGIN");
    await lease.query("CREATE TEMP TABLE numbers AS SELECT generate_series(1, 10000) AS n");
    const answer = { busy: undefined, sum: 0, typed: [], none: 0 };
    for await (const { n } of lease.stream({
      name: "numbers",
      text: "SELECT n FROM numbers WHERE n > $1",
      values: [0],
    })) {
      answer.sum += n;
      if (n === 5) answer.busy = await failureOf(lease.query("SELECT 1"));
      if (n === 9000) break;
    }
    answer.after = (await lease.query("SELECT count(*)::int AS n FROM numbers")).rows[0].n;
    const types = { getTypeParser: (id) => (text) => `${id}:${text}` };
    for await (const { n } of lease.stream({ text: "SELECT n FROM numbers LIMIT 2", types })) answer.typed.push(n);
    for await (const row of lease.stream("DELETE FROM numbers WHERE n < 0")) answer.none += row === undefined ? 0 : 1;
    for await (const { n } of lease.stream("DELETE FROM numbers WHERE n > $1 RETURNING n", [9998]))
      answer.typed.push(n);
    await lease.query("COMMIT");
    await lease.release();
    return answer;
  },
  async streamsLeft({ pool }) {
    const lease = await pool.lease();
    const text =
      "SELECT n, repeat('x', CASE WHEN n = $1 THEN 34000000 ELSE 1000 END) FROM generate_series(1, 9000) AS n";
    const one = async () => (await lease.query("SELECT 1 AS one")).rows[0].one;
    const abort = new AbortController();
    const reading = async (wide, signal) => {
      for await (const { n } of lease.stream(text, [wide], signal && { signal })) if (n === 100) abort.abort();
    };
    const answer = {
      wide: await failureOf(reading(500)),
      afterWide: await one(),
      aborted: await failureOf(reading(0, abort.signal)),
      afterAbort: await one(),
    };
    const rows = lease.stream(text, [0]);
    await rows.next();
    answer.thrown = await failureOf(rows.throw(new Error("the reader's own")));
    answer.afterThrow = await one();
    await lease.release();
    return answer;
  },
  /** Either row crosses alone, and both of them do not cross together. */
  async streamOfWideRows({ pool }) {
    const rows = "(VALUES (1, 900000), (2, 33000000), (3, 1), (4, 33000000)) AS rows (place, width)";
    const widths = [];
    for await (const { text } of pool.stream(`SELECT repeat('x', width) AS text FROM ${rows} ORDER BY place`))
      widths.push(text.length);
    return widths;
  },
  async streamCutOff({ pool, env }) {
    const text = "SELECT pg_backend_pid() AS pid, repeat('x', 1000) FROM generate_series(1, 9000)";
    let count = 0;
    let gone = false;
    const read = async () => {
      for await (const { pid } of pool.stream(text)) {
        count++;
        if (gone) continue;
        await poolOf(env.DATABASE).query("SELECT pg_terminate_backend($1)", [pid]);
        gone = true;
        // The object notices it while it reads nothing.
        await sleep(100);
      }
    };
    return { ...(await failureOf(read())), count };
  },
  async streamFailures({ pool, env }) {
    const before = await pid(pool);
    const readTo = async (rows) => {
      let count = 0;
      try {
        for await (const row of rows) count += row === undefined ? 0 : 1;
      } catch (error) {
        return { count, ...told(error) };
      }
      return { count };
    };
    const text = "SELECT 1 / (100 - n) AS q FROM (SELECT generate_series(1, 1000) AS n) AS s";
    const wide = "SELECT repeat('x', 40000000) AS text, generate_series(1, 3)";
    return {
      late: await readTo(pool.stream(text)),
      syntax: await readTo(pool.stream("SELEC $1", [1])),
      unwritable: await readTo(pool.stream("SELECT $1::json", [{ a: 1n }])),
      broken: await readTo(poolOf(env.ODD).stream("breaks", [3])),
      cannot: await readTo(poolOf(env.FOREIGN).stream("all")),
      wide: await readTo(pool.stream(wide)),
      aborted: await readTo(pool.stream("SELECT pg_sleep(20)", [], { signal: AbortSignal.timeout(100) })),
      lost: await readTo(pool.stream("SELECT pg_terminate_backend(pg_backend_pid()), generate_series(1, 100)")),
      isSame: before === (await pid(pool)),
    };
  },
  async leavesAStream({ pool }) {
    const rows = pool.stream("SELECT generate_series(1, 1000000000) AS n");
    await rows.next();
    return "left";
  },
  async errors({ pool }) {
    await pool.query("INSERT INTO people VALUES ('ann')");
    return {
      unique: await failureOf(pool.query("INSERT INTO people VALUES ($1)", ["ann"])),
      syntax: await failureOf(pool.query("SELEC 1")),
      killed: await failureOf(pool.query("SELECT pg_terminate_backend(pg_backend_pid())")),
      after: (await pool.query("SELECT 1 AS one")).rows,
    };
  },
  async direct({ env }) {
    const object = env.DATABASE.get(env.DATABASE.idFromName("direct"));
    await object.query("INSERT INTO people VALUES ('bob')");
    const lease = await object.lease();
    const answer = {
      rows: (await object.query("SELECT $1::int AS n", [1])).rows,
      batch: (await object.batch(["SELECT 1 AS n", { text: "SELECT $1::int AS n", values: [2] }])).map(
        ({ rows }) => rows[0].n,
      ),
      lease: (await lease.query("SELECT 4 AS n")).rows,
      leaseBatch: (await lease.batch(["SELECT 5 AS n"])).map(({ rows }) => rows[0].n),
      unique: await failureOf(object.query("INSERT INTO people VALUES ('bob')")),
      argument: await failureOf(object.query(7)),
      counted: await object.countTo(9),
      hidden: await attempt(() => object.pool.stats()),
    };
    await lease.release();
    answer.ended = await failureOf(lease.query("SELECT 1"));
    answer.used = (await object.stats()).used;
    return answer;
  },
  async endsWhileRunning({ env }) {
    using lease = await env.DATABASE.get(env.DATABASE.idFromName("pool")).lease();
    const running = failureOf(lease.query("SELECT pg_sleep(0.2)"));
    const ended = lease.release();
    const late = [failureOf(lease.query("SELECT 1")), failureOf(lease.batch(["SELECT 1"]))];
    await ended;
    return { running: (await running).unexpected?.rowCount, late: (await Promise.all(late)).map(told) };
  },
  async batches({ pool }) {
    const committed = await pool.batch([
      "INSERT INTO marks VALUES ('one')",
      { text: "INSERT INTO marks VALUES ($1) RETURNING name", values: ["two"] },
    ]);
    const failed = await failureOf(
      pool.batch([
        "INSERT INTO marks VALUES ('three')",
        { text: "INSERT INTO people VALUES ($1)", values: ["cy"] },
        { text: "INSERT INTO people VALUES ($1)", values: ["cy"] },
      ]),
    );
    const kept = await failureOf(
      pool.batch(["INSERT INTO marks VALUES ('four')", "SELECT 1/0", "INSERT INTO marks VALUES ('five')"], {
        transaction: false,
      }),
    );
    const deferred = await failureOf(pool.batch(["INSERT INTO late VALUES (1)", "INSERT INTO late VALUES (1)"]));
    const pids = await pool.batch(["SELECT pg_backend_pid() AS pid", "SELECT pg_backend_pid() AS pid"]);
    return {
      committed,
      failed,
      kept,
      deferred,
      onePid: pids[0].rows[0].pid === pids[1].rows[0].pid,
      none: await pool.batch([]),
    };
  },
  async lease({ pool }) {
    const lease = await pool.lease();
    const pids = [
      await pid(lease),
      await pid(lease),
      (await lease.batch(["SELECT pg_backend_pid() AS pid"]))[0].rows[0].pid,
    ];
    const several = await Promise.all([
      lease.query("SELECT pg_sleep(0.05), 1 AS n"),
      lease.batch(["SELECT 2 AS n"]),
      lease.query("SELECT 3 AS n"),
    ]);
    await lease.query("BEGIN");
    const nested = await failureOf(lease.batch(["SELECT 1"]));
    const inside = await lease.batch(["SELECT 4 AS n"], { transaction: false });
    await lease.query("ROLLBACK");
    const failed = await failureOf(lease.batch(["INSERT INTO marks VALUES ('six')", "SELECT 1/0"]));
    const goesOn = (await lease.query("SELECT 5 AS n")).rows;
    const used = (await pool.stats()).used;
    await lease.release();
    await lease.release();
    return {
      onePid: new Set(pids).size === 1,
      several: several.flat().map(({ rows }) => rows[0].n),
      nested,
      inside: inside[0].rows,
      failed,
      goesOn,
      used,
      after: await failureOf(lease.query("SELECT 1")),
      usedAfter: (await pool.stats()).used,
    };
  },
  async lost({ pool }) {
    const lease = await pool.lease();
    const killed = await failureOf(lease.query("SELECT pg_terminate_backend(pg_backend_pid())"));
    const after = await failureOf(lease.query("SELECT 1"));
    await lease.release();
    return { killed, after, next: (await pool.query("SELECT 1 AS one")).rows };
  },
  async use({ pool }) {
    const inside = await pool.use(async (lease) => (await lease.query("SELECT 1 AS one")).rows);
    const threw = await failureOf(
      pool.use(async (lease) => {
        await lease.query("BEGIN");
        throw new RangeError("the caller's own");
      }),
    );
    return { inside, threw, used: (await pool.stats()).used };
  },

  // The five ends, each with a transaction left open.
  async releases({ pool }) {
    const lease = await open(pool);
    await lease.release();
    return (await pool.stats()).used;
  },
  async disposes({ pool }) {
    const lease = await open(pool);
    lease[Symbol.dispose]();
    return told(await lease.query("SELECT 1").catch((error) => error));
  },
  async forgets({ pool }) {
    await open(pool);
    return "forgotten";
  },
  async throws({ pool }) {
    await open(pool);
    throw new Error("thrown on purpose");
  },
  async hangs({ pool }) {
    await open(pool);
    await new Promise(() => {});
  },
  async dawdles({ pool, ms }) {
    await open(pool);
    await sleep(ms);
    return "nobody reads this";
  },
  async runsLong({ pool }) {
    await pool.query("SELECT pg_sleep(60)");
  },
  /** Is the client of another request. A socket that a client closes is not noticed here before the next write. */
  async disconnects({ pool, env, key }) {
    const client = new AbortController();
    const asked = failureOf(env.SELF.fetch(`http://self/${key}?on=NARROW&ms=60000`, { signal: client.signal }));
    while ((await pool.stats()).used === 0) await sleep(5);
    client.abort();
    return (await asked).name;
  },
  async leavesTheQueue({ pool }) {
    void pool.lease().catch(() => {});
    void pool.query("SELECT 1").catch(() => {});
    return "gone";
  },
  // The calls of requests that end before their answer.
  async leavesRunning({ pool, key }) {
    const text = "SELECT pg_sleep(20)";
    void (key === "batch" ? pool.batch([text, "INSERT INTO marks VALUES ('late')"]) : pool.query(text)).catch(() => {});
    await sleep(50);
    return "left";
  },
  async throwsQueued({ pool, ms }) {
    void pool.query("INSERT INTO marks VALUES ('ghost')").catch(() => {});
    void pool.batch(["INSERT INTO marks VALUES ('ghost of a batch')"]).catch(() => {});
    await sleep(ms);
    throw new Error("thrown on purpose");
  },
  async hangsAfterwards({ pool }) {
    await pool.query("SELECT pg_sleep(0.4)");
    await new Promise(() => {});
  },
  async aborts({ pool }) {
    const { pid: before } = (await pool.query("SELECT pg_backend_pid() AS pid")).rows[0];
    const signal = () => AbortSignal.timeout(100);
    const reason = new Error("the user went away");
    const start = Date.now();
    const batch = ["INSERT INTO marks VALUES ('before')", "SELECT pg_sleep(20)", "INSERT INTO marks VALUES ('after')"];
    const answer = {
      query: await failureOf(pool.query("SELECT pg_sleep(20)", [], { signal: signal() })),
      batch: await failureOf(pool.batch(batch, { signal: signal() })),
      already: await failureOf(pool.query("INSERT INTO marks VALUES ('x')", [], { signal: AbortSignal.abort(reason) })),
      unharmed: (await pool.query("SELECT 1 AS one", [], { signal: AbortSignal.timeout(60_000) })).rows,
    };
    const lease = await pool.lease({ signal: AbortSignal.timeout(60_000) });
    answer.queued = await failureOf(pool.query("INSERT INTO marks VALUES ('x')", [], { signal: signal() }));
    answer.noLease = await failureOf(pool.lease({ signal: signal() }));
    answer.noUse = await failureOf(pool.use(() => "used", { signal: signal() }));
    answer.waiting = (await pool.stats()).waiting;
    await lease.query("BEGIN");
    answer.inLease = await failureOf(lease.query("SELECT pg_sleep(20)", [], { signal: signal() }));
    await lease.query("ROLLBACK");
    answer.leaseBatch = await failureOf(lease.batch(batch, { signal: signal() }));
    const slow = lease.query("SELECT pg_sleep(0.3)");
    answer.behind = await failureOf(lease.query("INSERT INTO marks VALUES ('x')", [], { signal: signal() }));
    answer.slow = (await slow).rowCount;
    answer.isSame = before === (await pid(lease));
    await lease.release();
    return { ...answer, ms: Date.now() - start };
  },
  async crowd({ pool }) {
    const lease = await pool.lease();
    const outcomes = Array.from({ length: 520 }, () => failureOf(pool.query("SELECT 1")));
    const first = await Promise.race(outcomes);
    const { waiting } = await pool.stats();
    await lease.release();
    const codes = (await Promise.all(outcomes)).map(({ code }) => code);
    return { code: first.code, waiting, refused: codes.filter((code) => code === "ERR_POOL_QUEUE_FULL").length };
  },
  async heldTooLong({ pool }) {
    const lease = await pool.lease();
    const before = await pid(lease);
    await sleep(600);
    const late = await failureOf(lease.query("SELECT 1"));
    const running = await failureOf(pool.query("SELECT pg_sleep(5)"));
    const batch = await failureOf(pool.batch(["SELECT 1", "SELECT pg_sleep(5)"]));
    return { late, running, batch, isSame: before === (await pid(pool)) };
  },
  async cutOff({ env }) {
    const pool = poolOf(env.COUNTING);
    await pool.query("SELECT 1");
    const batch = failureOf(pool.batch(["INSERT INTO marks SELECT 'cut off' FROM pg_sleep(0.2)", "SELECT 1"]));
    await sleep(50);
    const object = env.COUNTING.get(env.COUNTING.idFromName("pool"));
    await object.cut();
    const lease = await pool.lease();
    await lease.query("SELECT 1");
    await object.cut();
    const unsent = await failureOf(lease.batch(["SELECT 1"]));
    await lease.release();
    return { batch: await batch, unsent };
  },
  async readsSlowly({ env }) {
    const pool = poolOf(env.HASTY);
    let count = 0;
    for await (const row of pool.stream("SELECT n, repeat('x', 1000) FROM generate_series(1, 4000) AS n")) {
      count += row.n > 0 ? 1 : 0;
      if (count % 1000 === 0) await sleep(150);
    }
    return { count, late: await failureOf(pool.query("SELECT pg_sleep(5)")) };
  },
  /** What is passed as the caller may be of another version, or none. */
  async callersThatAreNone({ env }) {
    const stub = env.NARROW.get(env.NARROW.idFromName("callers"));
    const slow = ["SELECT pg_sleep(60)"];
    const answers = [];
    for (const caller of [7, "caller", { untilUnwanted: 7 }]) {
      answers.push(await stub.answerPoolOf("query", slow, caller, true));
      answers.push(await stub.answerPoolOf("query", slow, caller));
    }
    return answers.map(({ failure }) => failure?.message);
  },
  async disposesRunning({ pool, ms }) {
    const lease = await pool.lease();
    const before = await pid(lease);
    const running = failureOf(lease.query("SELECT pg_sleep($1)", [ms / 1000]));
    const waiting = failureOf(lease.query("INSERT INTO marks VALUES ('too late')"));
    // Both are on their way before the lease ends.
    await sleep(50);
    await lease.release();
    await Promise.all([running, waiting]);
    return { before, running: await running, waiting: await waiting };
  },
  async hold({ pool, ms }) {
    const lease = await pool.lease();
    await sleep(ms);
    await lease.release();
    return "held";
  },
  async next({ pool }) {
    const { rows } = await pool.query(
      `SELECT pg_backend_pid() AS pid,
         pg_current_xact_id_if_assigned() IS NOT NULL AS inherited`,
    );
    return rows[0];
  },
  async marks({ pool }) {
    return (await pool.query("SELECT name FROM marks ORDER BY name")).rows.map(({ name }) => name);
  },
  async stats({ pool }) {
    return pool.stats();
  },
  async shares({ env }) {
    isolate.lease = await poolOf(env.DATABASE, { name: "shared" }).lease();
    return (await isolate.lease.query("SELECT 1 AS one")).rows;
  },
  async takes() {
    const used = await failureOf(isolate.lease.query("SELECT 1"));
    await isolate.lease.release();
    return used;
  },
  async owns({ env, ms }) {
    isolate.lease = await poolOf(env.DATABASE, { name: "owned" }).lease();
    await isolate.lease.query("BEGIN");
    const before = await pid(isolate.lease);
    await sleep(ms);
    const isSame = before === (await pid(isolate.lease));
    await isolate.lease.query("COMMIT");
    await isolate.lease.release();
    return { isSame, after: await failureOf(isolate.lease.query("SELECT 1")) };
  },
  async meddles() {
    const { lease } = isolate;
    await lease.release();
    await lease[Symbol.asyncDispose]();
    lease[Symbol.dispose]();
    return failureOf(lease.query("SELECT 1"));
  },
  async moduleScope() {
    return (await atModuleScope.batch(["SELECT pg_backend_pid() AS pid"]))[0].rows[0].pid;
  },
  async unanswerable({ env }) {
    return failureOf(poolOf(env.FOREIGN).query("a symbol"));
  },
  async name({ pool }) {
    return (await pool.query("SELECT current_setting('application_name') AS name")).rows[0].name;
  },
  async work({ pool }) {
    isolate.number ||= Math.floor(Math.random() * 1e9);
    isolate.requests++;
    const { rows } = await pool.query("SELECT pg_backend_pid() AS pid, pg_sleep(0.02)");
    return { isolate: isolate.number, pid: rows[0].pid };
  },
  async turn({ pool, key }) {
    return (await pool.query("INSERT INTO turns (caller) VALUES ($1) RETURNING place", [Number(key)])).rows[0].place;
  },
  async late({ pool }) {
    const lease = await pool.lease();
    const answer = {
      query: await failureOf(pool.query("SELECT 1", [], { timeout: "30ms" })),
      lease: await failureOf(pool.lease({ timeout: "30ms" })),
      batch: await failureOf(pool.batch(["SELECT 1"], { timeout: 0 })),
    };
    await lease.release();
    return answer;
  },
  async shards({ env }) {
    const objectOf = async (options) =>
      (
        await poolOf(env.DATABASE, { shards: 4, ...options }).query(
          "SELECT current_setting('application_name') AS object",
        )
      ).rows[0].object;
    const keys = ["ann", "bob", "cy", "dee", "eve", "fay", "gus", "hal"];
    return {
      first: await Promise.all(keys.map((key) => objectOf({ key }))),
      again: await Promise.all(keys.map((key) => objectOf({ key }))),
      random: await Promise.all(Array.from({ length: 40 }, () => objectOf({}))),
      named: await objectOf({ name: "elsewhere", key: "ann", locationHint: "weur" }),
    };
  },
  async reset({ pool, env }) {
    const object = poolOf(env.DATABASE);
    const idle = await pool.lease();
    await idle.query("BEGIN");
    const lease = await open(object);
    const running = failureOf(lease.query("SELECT pg_sleep(0.5)"));
    const query = failureOf(object.query("INSERT INTO marks SELECT 'run twice' FROM pg_sleep(0.5)"));
    // It is on its way.
    await sleep(50);
    const reset = await failureOf(env.DATABASE.get(env.DATABASE.idFromName("pool")).reset());
    const after = await failureOf(lease.query("SELECT 1"));
    await lease.release();
    return {
      reset: reset.message,
      running: await running,
      after,
      idle: await failureOf(idle.query("SELECT 1")),
      query: await query,
      next: (await pool.query("SELECT 1 AS one")).rows,
    };
  },
  async statsOfAll({ env }) {
    const options = { name: "counted", shards: 3 };
    const at = (key) => poolOf(env.DATABASE, { ...options, key });
    const keys = ["ann", "bob", "cy", "dee", "eve", "fay"];
    for (const key of keys) await at(key).query("SELECT 1");
    // The reset of a session is over a moment after its answer.
    while ((await poolOf(env.DATABASE, options).stats({ scope: "all" })).used > 0) await sleep(5);
    const lease = await at("ann").lease();
    const held = await poolOf(env.DATABASE, options).stats({ scope: "all" });
    await lease.release();
    const single = poolOf(env.DATABASE, { name: "counted-alone" });
    await single.query("SELECT 1");
    return {
      used: held.used,
      max: held.max,
      checkouts: held.checkouts,
      ofOne: (await at("ann").stats()).max,
      alone: (await single.stats({ scope: "all" })).checkouts,
      wrong: await failureOf(single.stats({ scope: "each" })),
    };
  },
  async resetWhileQueued({ env }) {
    const pool = poolOf(env.DATABASE, { name: "queued" });
    for (let number = 0; number < 5; number++) await pool.lease();
    const queued = [
      pool.query("INSERT INTO marks VALUES ('of a query')").then(({ rowCount }) => rowCount),
      pool.batch(["INSERT INTO marks VALUES ('of a batch')"]).then((results) => results.length),
      pool.use(async (lease) => (await lease.query("SELECT 7 AS n")).rows[0].n),
    ].map(failureOf);
    // The object has asked whether they are still wanted.
    await sleep(400);
    await failureOf(env.DATABASE.get(env.DATABASE.idFromName("queued")).reset());
    return Promise.all(queued);
  },
  async others({ env }) {
    const unreachable = poolOf(env.UNREACHABLE);
    return {
      foreign: await poolOf(env.FOREIGN).query("hello"),
      unreachable: await failureOf(unreachable.query("SELECT 1")),
      mistaken: await failureOf(poolOf(env.MISTAKEN).query("SELECT 1")),
    };
  },
  async mistakes({ pool, env }) {
    return Object.fromEntries(
      await Promise.all(
        Object.entries({
          namespace: () => poolOf("DATABASE"),
          stub: () => poolOf(env.DATABASE.get(env.DATABASE.idFromName("pool"))),
          shards: () => poolOf(env.DATABASE, { shards: 0 }),
          key: () => poolOf(env.DATABASE, { shards: 2, key: 7 }),
          keyAlone: () => poolOf(env.DATABASE, { key: "ann" }),
          name: () => poolOf(env.DATABASE, { name: "" }),
          unknown: () => poolOf(env.DATABASE, { shard: 2 }),
          text: () => pool.query({ values: [] }),
          config: () => pool.query({ text: "SELECT 1", sql: "SELECT 1" }),
          statementName: () => pool.query({ text: "SELECT 1", name: 7 }),
          rowMode: () => pool.batch([{ text: "SELECT 1", rowMode: "list" }]),
          types: () => pool.query({ text: "SELECT 1", types: {} }),
          values: () => pool.query("SELECT $1", 7),
          value: () => pool.query("SELECT $1", [Symbol("seven")]),
          nested: () => pool.query("SELECT $1", [{ a: [new URL("https://example.org/")] }]),
          callback: () => pool.batch([{ text: "SELECT $1", values: [1, () => 1] }]),
          circle: () => pool.query("SELECT $1", [itself()]),
          valueInLease: () => pool.use((lease) => lease.query("SELECT $1", [new (class SevenDisconnected {})()])),
          timeout: () => pool.query("SELECT 1", [], { timeout: "5 seconds" }),
          option: () => pool.lease({ wait: 1 }),
          signal: () => pool.lease({ signal: {} }),
          statements: () => pool.batch("SELECT 1"),
          statement: () => pool.batch(["SELECT 1", 7]),
          member: () => pool.batch([{ sql: "SELECT 1" }]),
          transaction: () => pool.batch(["SELECT 1"], { transaction: "yes" }),
          fn: () => pool.use("SELECT 1"),
        }).map(async ([name, call]) => [name, await attempt(call)]),
      ),
    );
  },
};

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const binding = searchParams.get("on") ?? "DATABASE";
    const pool = poolOf(env[binding], { name: searchParams.get("name") ?? undefined });
    return Response.json(
      await handlers[pathname.slice(1)]({
        pool,
        env,
        ms: Number(searchParams.get("ms") ?? 0),
        key: searchParams.get("key"),
      }),
    );
  },
};
