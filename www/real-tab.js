// The tab with a real database: runs one statement or a thousand tasks through a pool on the host's clock. Loads SQLite
// when it is opened for the first time. main.js opens it and keeps its SQL in the address.

import { QueuePool } from "../pkg/entry/inline.js";

const examples = {
  Products: "SELECT * FROM products;",
  "Best sellers":
    "SELECT name, count(orders.id) AS orders, coalesce(sum(amount), 0) AS pieces\n" +
    "FROM products LEFT JOIN orders ON orders.product = products.id\n" +
    "GROUP BY products.id ORDER BY pieces DESC;",
  "Forget to commit":
    "BEGIN;\nINSERT INTO products (name, price) VALUES ('Air', 0.0);\nSELECT count(*) AS products FROM products;",
};
const mostRows = 200;
const poolSize = 4;
const maxOverflow = 2;
/** The texts of a cell, each with its look (style.css). */
const looks = { idle: "idle", "in use": "used", empty: "empty" };
const shownStats = ["total", "idle", "used", "waiting", "opened", "checkouts", "waited", "timedOut", "max"];

export class RealTab {
  #byId;
  /** The SQL for a link; undefined while it is the first example. */
  #sql;
  #pool;
  #driver;
  #slots = new Map();
  /** Whether the SQL is new, or came with the address, and has no message yet. */
  #isFresh = true;

  /** `changed` is called when the SQL changes. */
  constructor(document, changed) {
    this.#byId = (id) => document.getElementById(id);
    const sql = this.#byId("sql");
    sql.addEventListener("change", () => {
      this.#sql = sql.value;
      changed();
    });
    for (const [name, text] of Object.entries(examples)) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.addEventListener("click", () => {
        sql.value = this.#sql = text;
        changed();
        void this.#runSql();
      });
      this.#byId("sql-examples").append(button);
    }
    this.#byId("sql-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#runSql();
    });
    sql.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#byId("sql-form").requestSubmit();
    });
    this.#byId("sql-reset").addEventListener("click", () => void this.#reset());
    this.#byId("run-load").addEventListener("click", () => void this.#runLoad());
  }

  get sqlForLink() {
    return this.#sql;
  }

  /** Takes the SQL of an address; open() follows. */
  set sql(text) {
    this.#sql = text;
    this.#byId("sql").value = text ?? examples["Best sellers"];
    this.#isFresh = true;
  }

  /** Loads SQLite, or shows why it cannot be loaded. */
  async open() {
    if (!this.#pool) {
      this.#say("loading SQLite …");
      try {
        this.#driver ??= await import("./sqlite-connections.js");
      } catch (error) {
        this.#say(`SQLite could not be loaded: ${error.message}`, true);
        return;
      }
      this.#pool ??= this.#makePool();
      this.#showPool();
    }
    if (!this.#isFresh) return;
    this.#isFresh = false;
    // The author of a link does not decide what runs on the visitor's machine.
    if (this.#sql === undefined) await this.#runSql();
    else this.#say("This SQL came with the link. Read it before you run it.");
  }

  #makePool() {
    const pool = new QueuePool(this.#driver.openConnection, {
      dialect: this.#driver.dialect,
      poolSize,
      maxOverflow,
      timeout: null,
      loggingName: "sqlite",
    });
    const note = (word) => (connection) => void (connection && this.#slots.set(connection.id, word));
    pool.on("connect", note("idle"));
    pool.on("checkout", note("in use"));
    pool.on("checkin", note("idle"));
    pool.on("close", (connection) => void this.#slots.delete(connection.id));
    return pool;
  }

  /** Shows a message about the SQL, and removes the result. */
  #say(text, isError = false, ...result) {
    const said = this.#byId("sql-said");
    said.textContent = text;
    said.className = isError ? "is-error" : "";
    this.#byId("sql-result").replaceChildren(...result);
  }

  /** Runs the SQL on a connection of the pool. */
  #onConnection(sql) {
    this.#say("waiting for a connection …");
    return this.#pool.use((connection) => {
      const result = this.#driver.run(connection, sql);
      return { result, id: connection.id, wasOpen: connection.inTransaction() };
    });
  }

  async #runSql() {
    if (!this.#pool) return;
    const start = performance.now();
    try {
      const { result, id, wasOpen } = await this.#onConnection(this.#byId("sql").value);
      const changed = result.changes > 0 ? `, ${result.changes} changed` : "";
      const took = `${(performance.now() - start).toFixed(1)} ms`;
      const open = wasOpen ? ". The transaction was still open: the pool rolled it back" : "";
      const text = `${counted(result.rows.length, "row")}${changed} in ${took} on connection ${id}${open}`;
      this.#say(text, false, table(result));
    } catch (error) {
      this.#say(error.message, true);
    }
    this.#showPool();
  }

  async #reset() {
    if (!this.#pool) return;
    try {
      await this.#onConnection(this.#driver.resetSql);
      this.#say("the tables are reset");
    } catch (error) {
      this.#say(error.message, true);
    }
    this.#showPool();
  }

  async #runLoad() {
    const input = this.#byId("tasks");
    if (!input.reportValidity() || !this.#pool) return;
    const tasks = input.valueAsNumber;
    const button = this.#byId("run-load");
    const progress = this.#byId("load-progress");
    const said = this.#byId("load-said");
    button.disabled = true;
    said.textContent = "";
    const waits = [];
    let done = 0;
    let failed = 0;
    let firstError;
    const task = async (number) => {
      const asked = performance.now();
      try {
        await this.#pool.use(async (connection) => {
          waits.push(performance.now() - asked);
          this.#driver.run(
            connection,
            `INSERT INTO orders (product, amount) VALUES (${1 + (number % 4)}, ${1 + (number % 7)})`,
          );
          await new Promise((resolve) => setTimeout(resolve));
          this.#driver.run(connection, "SELECT amount FROM orders WHERE id = last_insert_rowid()");
        });
      } catch (error) {
        failed++;
        firstError ??= error;
      }
      done++;
    };
    const show = () => {
      progress.value = done / tasks;
      this.#showPool();
      if (done < tasks) requestAnimationFrame(show);
    };
    const start = performance.now();
    const all = Array.from({ length: tasks }, (_, number) => task(number));
    show();
    await Promise.all(all);
    const ms = performance.now() - start;
    waits.sort((a, b) => a - b);
    const wait = (part) => `${(waits[Math.floor(part * (waits.length - 1))] ?? 0).toFixed(0)} ms`;
    const served = tasks - failed;
    said.textContent = [
      `${counted(served, "task")} in ${(ms / 1000).toFixed(2)} s, ${Math.round((served / ms) * 1000)} per second.`,
      ...(failed > 0 ? [`${failed} failed, the first with: ${firstError.message}.`] : []),
      `Wait for a connection: median ${wait(0.5)}, 95 % ${wait(0.95)}.`,
    ].join(" ");
    progress.value = 1;
    button.disabled = false;
    this.#showPool();
  }

  #showPool() {
    const stats = this.#pool.stats();
    const taken = [...this.#slots].map(([id, word]) => [`${id}`, word]);
    const empty = Array.from({ length: Math.max(0, stats.max - taken.length) }, () => ["", "empty"]);
    this.#byId("real-slots").replaceChildren(
      ...[...taken, ...empty].map(([id, word], place) => {
        const item = document.createElement("li");
        item.className = place < poolSize ? "cell is-flat" : "cell is-flat is-overflow";
        item.dataset.state = looks[word];
        if (id !== "") item.append(textIn("b", id));
        item.append(word);
        return item;
      }),
    );
    this.#byId("real-stats").replaceChildren(
      ...shownStats.map((name) => {
        const item = document.createElement("li");
        item.append(textIn("span", name), textIn("b", String(stats[name])));
        return item;
      }),
    );
  }
}

const counted = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;
const textIn = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });

function table({ columns, rows }) {
  if (columns.length === 0)
    return Object.assign(document.createElement("p"), { className: "hint", textContent: "no rows" });
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  for (const [place, name] of columns.entries()) {
    const cell = Object.assign(document.createElement("th"), { scope: "col", textContent: name });
    if (typeof rows[0]?.[place] === "number") cell.className = "is-number";
    head.append(cell);
  }
  const body = made.createTBody();
  for (const row of rows.slice(0, mostRows)) {
    const line = body.insertRow();
    for (const value of row) {
      const cell = line.insertCell();
      cell.textContent = value === null ? "NULL" : String(value);
      if (typeof value === "number") cell.className = "is-number";
    }
  }
  if (rows.length > mostRows) made.createCaption().textContent = `the first ${mostRows} of ${rows.length} rows`;
  return made;
}
