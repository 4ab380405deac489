// The tab with a real database: one statement or a thousand tasks, through a pool on the clock of the host. Loads SQLite
// when it is opened for the first time. main.js opens it and keeps its SQL in the address.

import { QueuePool } from "../pkg/entry/inline.js";

const examples = {
  "Products": "SELECT * FROM products;",
  "Best sellers": "SELECT name, count(orders.id) AS orders, coalesce(sum(amount), 0) AS pieces\nFROM products LEFT JOIN orders ON orders.product = products.id\nGROUP BY products.id ORDER BY pieces DESC;",
  "Forget to commit": "BEGIN;\nINSERT INTO products (name, price) VALUES ('Air', 0.0);\nSELECT count(*) AS products FROM products;",
};
const mostRows = 200;
const poolSize = 4;
const maxOverflow = 2;
/** What a cell says, and how it looks (style.css). */
const looks = { idle: "idle", "in use": "used", empty: "empty" };
const shownStats = ["total", "idle", "used", "waiting", "opened", "checkouts", "waited", "timedOut", "max"];

export class RealTab {
  #byId;
  #sql;
  #pool;
  #driver;
  #slots = new Map();

  /** `changed` is called when the SQL is another. */
  constructor(document, changed) {
    this.#byId = (id) => document.getElementById(id);
    const sql = this.#byId("sql");
    sql.value = examples["Best sellers"];
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
    this.#byId("run-load").addEventListener("click", () => void this.#runLoad());
  }

  /** What a link has to remember; undefined while it is the example of the beginning. */
  get sqlForLink() {
    return this.#sql;
  }

  set sql(text) {
    this.#sql = text;
    if (text !== undefined) this.#byId("sql").value = text;
  }

  /** SQLite is there from now on, or the words say why not. */
  async open() {
    if (this.#pool) return;
    const said = this.#byId("sql-said");
    said.textContent = "loading SQLite …";
    try {
      this.#driver ??= await import("./sqlite-connections.js");
    } catch (error) {
      said.textContent = `SQLite could not be loaded: ${error.message}`;
      return;
    }
    if (this.#pool) return;
    this.#pool = this.#makePool();
    said.textContent = "";
    this.#showPool();
    await this.#runSql();
  }

  #makePool() {
    const pool = new QueuePool(this.#driver.openConnection, { dialect: this.#driver.dialect, poolSize, maxOverflow, timeout: "60s", loggingName: "sqlite" });
    const note = (word) => (connection) => void (connection && this.#slots.set(connection.id, word));
    pool.on("connect", note("idle"));
    pool.on("checkout", note("in use"));
    pool.on("checkin", note("idle"));
    pool.on("close", (connection) => void this.#slots.delete(connection.id));
    return pool;
  }

  async #runSql() {
    const said = this.#byId("sql-said");
    const frame = this.#byId("sql-result");
    const sql = this.#byId("sql").value;
    if (!this.#pool) return;
    const start = performance.now();
    try {
      const { result, id, wasOpen } = await this.#pool.use((connection) => {
        const result = this.#driver.run(connection, sql);
        return { result, id: connection.id, wasOpen: connection.inTransaction() };
      });
      said.textContent = `${count(result.rows.length, "row")}${result.changes > 0 ? `, ${result.changes} changed` : ""} in ${(performance.now() - start).toFixed(1)} ms on connection ${id}${wasOpen ? ". The transaction was left open: the pool rolled it back" : ""}`;
      said.className = "";
      frame.replaceChildren(table(result));
    } catch (error) {
      said.textContent = error.message;
      said.className = "is-error";
      frame.replaceChildren();
    }
    this.#showPool();
  }

  async #runLoad() {
    const input = this.#byId("tasks");
    if (!input.reportValidity() || !this.#pool) return;
    const count = input.valueAsNumber;
    const button = this.#byId("run-load");
    const progress = this.#byId("load-progress");
    const said = this.#byId("load-said");
    button.disabled = true;
    said.textContent = "";
    const waits = [];
    let done = 0;
    let failed = 0;
    const task = async (number) => {
      const asked = performance.now();
      try {
        await this.#pool.use(async (connection) => {
          waits.push(performance.now() - asked);
          this.#driver.run(connection, `INSERT INTO orders (product, amount) VALUES (${1 + (number % 4)}, ${1 + (number % 7)})`);
          await new Promise((resolve) => setTimeout(resolve));
          this.#driver.run(connection, "SELECT sum(amount) FROM orders");
        });
      } catch {
        failed++;
      }
      done++;
    };
    const show = () => {
      progress.value = done / count;
      this.#showPool();
      if (done < count) requestAnimationFrame(show);
    };
    const start = performance.now();
    const tasks = Array.from({ length: count }, (_, number) => task(number));
    show();
    await Promise.all(tasks);
    const ms = performance.now() - start;
    waits.sort((a, b) => a - b);
    const wait = (part) => `${(waits[Math.floor(part * (waits.length - 1))] ?? 0).toFixed(0)} ms`;
    said.textContent = `${count - failed} tasks in ${(ms / 1000).toFixed(2)} s, ${Math.round((count / ms) * 1000)} a second${failed > 0 ? `, ${failed} failed` : ""}. Wait for a connection: half of them ${wait(0.5)}, 95 % ${wait(0.95)}.`;
    progress.value = 1;
    button.disabled = false;
    this.#showPool();
  }

  #showPool() {
    const stats = this.#pool.stats();
    const taken = [...this.#slots].map(([id, word]) => [`${id}`, word]);
    const empty = Array.from({ length: Math.max(0, stats.max - taken.length) }, () => ["", "empty"]);
    this.#byId("real-slots").replaceChildren(...[...taken, ...empty].map(([id, word], place) => {
      const item = document.createElement("li");
      item.className = place < poolSize ? "cell is-flat" : "cell is-flat is-overflow";
      item.dataset.state = looks[word];
      if (id !== "") item.append(textIn("b", id));
      item.append(word);
      return item;
    }));
    this.#byId("real-stats").replaceChildren(...shownStats.map((name) => {
      const item = document.createElement("li");
      item.append(textIn("span", name), textIn("b", String(stats[name])));
      return item;
    }));
  }
}

const count = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;
const textIn = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });

function table({ columns, rows }) {
  if (columns.length === 0) return Object.assign(document.createElement("p"), { className: "hint", textContent: "no rows" });
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
