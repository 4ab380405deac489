// The cells of one pane: one for each connection and each empty place, in three areas: kept open, overflow, and
// leftovers of an earlier pool. Shows the state that the pane has of each connection, and counts it for the legend.
// picture.js sets their number and draws them at every frame. Only changes reach the document.

import { sign } from "./symbols.js";

/** The states of a cell with their words, in the order of the legend. */
export const stateWords = {
  used: "in use",
  idle: "idle",
  opening: "opening",
  resetting: "resetting",
  checking: "checking",
  closing: "closing",
  dead: "broken",
  forgotten: "leaked",
  empty: "empty",
};
const busy = new Set(["used", "opening", "resetting", "checking", "closing"]);

/** With more cells than this, each has room only for its sign. */
export const wordyCells = 40;

export class Cells {
  #pane;
  #areas;
  #pick;
  /** The cells of the current pool, by place, and those of earlier pools. */
  #current = [];
  #before = [];
  /** The cell that Tab reaches; the arrow keys go on from there. A hundred cells must not be a hundred stops. */
  #tabStop;

  /** `areas`: the elements kept, overflow and before. `pick` is called with the connection of the pressed cell. */
  constructor(pane, areas, pick) {
    this.#pane = pane;
    this.#areas = areas;
    this.#pick = pick;
    for (const area of [areas.kept, areas.overflow, areas.before])
      area.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Makes cells for the pool's places, the first `kept` of them in their own area, and for the leftovers. */
  arrange(places, kept, before) {
    const { kept: keptArea, overflow, before: beforeArea } = this.#areas;
    if (this.#current.length !== places || keptArea.childElementCount !== kept) {
      this.#resize(this.#current, places);
      for (const [place, { button }] of this.#current.entries()) {
        const area = place < kept ? keptArea : overflow;
        if (button.parentElement !== area) area.append(button);
      }
    }
    if (this.#before.length !== before) {
      this.#resize(this.#before, before);
      for (const { button } of this.#before) if (!button.isConnected) beforeArea.append(button);
    }
  }

  /** Returns the number of connections in each state, also of those without a cell. */
  draw(now, selected) {
    const { places, leftovers } = this.#pane;
    const counts = {};
    const isDense = this.#current.length + this.#before.length > wordyCells;
    for (const [cells, connections] of [
      [this.#current, places],
      [this.#before, leftovers],
    ]) {
      for (let place = 0; place < Math.max(cells.length, connections.length); place++) {
        const connection = connections[place];
        const state = connection === undefined ? "empty" : this.#pane.stateOf(connection);
        counts[state] = (counts[state] ?? 0) + 1;
        if (place < cells.length)
          this.#drawCell(
            cells[place],
            connection,
            state,
            now,
            isDense,
            connection !== undefined && connection === selected,
          );
      }
    }
    this.#keepTabStop();
    return counts;
  }

  #resize(cells, wanted) {
    while (cells.length > wanted) {
      const { button } = cells.pop();
      const hadFocus = button === document.activeElement;
      button.remove();
      // Without this the focus would move to the beginning of the page.
      if (hadFocus) this.#stopAt([...this.#current, ...this.#before].at(-1), true);
    }
    while (cells.length < wanted) cells.push(this.#makeCell());
  }

  /** Lets Tab reach a connection, if any; leaves it at the focused cell. */
  #keepTabStop() {
    const stop = this.#tabStop;
    if (stop?.button.isConnected && (stop.connection !== undefined || stop.button === document.activeElement)) return;
    this.#stopAt([...this.#current, ...this.#before].find(({ connection }) => connection !== undefined));
  }

  #stopAt(cell, isFocused = false) {
    if (this.#tabStop) this.#tabStop.button.tabIndex = -1;
    this.#tabStop = cell;
    if (cell === undefined) return;
    cell.button.tabIndex = 0;
    if (isFocused) cell.button.focus();
  }

  #onKey(event) {
    const cells = [...this.#current, ...this.#before].filter(
      (cell) => cell.connection !== undefined || cell.button === event.target,
    );
    const place = cells.findIndex(({ button }) => button === event.target);
    const to = {
      ArrowRight: place + 1,
      ArrowDown: place + 1,
      ArrowLeft: place - 1,
      ArrowUp: place - 1,
      Home: 0,
      End: cells.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (cells[to]) this.#stopAt(cells[to], true);
  }

  #makeCell() {
    const svg = sign("empty");
    const made = (tag, className) => Object.assign(document.createElement(tag), { className });
    const cell = {
      button: made("button", "cell"),
      use: svg.firstChild,
      holder: made("span", "holder"),
      word: made("span", "word"),
      bar: made("i", "bar"),
      state: undefined,
      connection: undefined,
      caller: undefined,
      done: 0,
      isSelected: false,
    };
    cell.button.type = "button";
    cell.button.tabIndex = -1;
    cell.button.setAttribute("aria-disabled", "true");
    cell.button.append(svg, cell.holder, cell.word, cell.bar);
    cell.button.addEventListener("click", () => {
      if (cell.connection === undefined) return;
      this.#stopAt(cell);
      this.#pick(cell.connection);
    });
    return cell;
  }

  #drawCell(cell, connection, state, now, isDense, isSelected) {
    const caller = connection === undefined ? "" : this.#pane.holderOf(connection, state);
    if (cell.state !== state || cell.connection !== connection || cell.caller !== caller) {
      if (cell.state !== state) {
        cell.button.dataset.state = state;
        cell.use.setAttribute("href", `#icon-${state}`);
        cell.word.textContent = stateWords[state];
      }
      if (cell.caller !== caller) cell.holder.textContent = caller;
      // Not `disabled`: that would take the focus away when the connection ends.
      if ((cell.connection === undefined) !== (connection === undefined))
        cell.button.setAttribute("aria-disabled", String(connection === undefined));
      cell.button.setAttribute(
        "aria-label",
        connection === undefined
          ? "Empty place"
          : `${this.#pane.nameOf(connection)}: ${stateWords[state]}${caller === "" ? "" : `, ${caller}`}`,
      );
      Object.assign(cell, { state, connection, caller });
    }
    const isBusy = connection !== undefined && connection.until > connection.since && busy.has(state);
    const done = isBusy ? Math.min(1, (now - connection.since) / (connection.until - connection.since)) : 0;
    // Skips steps that are too small to see: a step is about a pixel of the cell.
    if (Math.abs(done - cell.done) > (isDense ? 0.04 : 0.01) || (done === 1 && cell.done !== 1)) {
      cell.bar.style.transform = `scaleX(${done.toFixed(3)})`;
      cell.done = done;
    }
    if (isSelected !== cell.isSelected) cell.button.classList.toggle("is-selected", (cell.isSelected = isSelected));
  }
}
