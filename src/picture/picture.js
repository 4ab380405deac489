// The picture of one pool: waiters, cells, callers that left, lines over time, and the texts and numbers beside them.
// Shows a pane and decides nothing. Only changes reach the document. The demo page (www/) and the page of
// edgepool/inspect make one for each pool, and call draw() for each frame.
//
// A pane has the texts `name`, `title`, `motto`, `notice`, `keptHint`, `invitation` and `whenNobodyWaits`; the numbers
// `stats` and `limits`; the connections `places` and `leftovers`, and of each nameOf(), stateOf(), holderOf() and
// describe(); the waiters queue() and `patienceMs`; `endings` with their words, and by these `left` and `lastToLeave`;
// the `charts`.

import { Cells, stateWords, wordyCells } from "./cells.js";
import { Charts } from "./charts.js";
import { LeavingPicture, QueuePicture } from "./queue-picture.js";
import { addSymbols, sign } from "./symbols.js";

/** States that the legend has only if there are any. */
const rare = new Set(["checking", "dead", "forgotten"]);

/** Up to this number of cells, each is large. */
const largeCells = 16;
const endlessStep = 10;
const mostCells = 300;

export class PanePicture {
  element;
  #pane;
  #select;
  #parts = {};
  #cells;
  #legend;
  #queue;
  #leaving;
  #charts;
  #selected;
  /** Cells of a pool without a limit. */
  #endless = endlessStep;

  /** `act` performs a visitor's act on one connection. */
  constructor(pane, hasTwo, act) {
    if (document.querySelector(".symbols") === null) addSymbols();
    this.#pane = pane;
    this.#select = act;
    this.#charts = new Charts(pane.charts);
    const part = (name, tag, className, ...children) => (this.#parts[name] = element(tag, className, ...children));
    this.element = element(
      "section",
      "pane",
      element(
        "header",
        "pane-head",
        hasTwo ? element("span", "pane-name", pane.name) : "",
        part("title", "h2", ""),
        part("motto", "p", "motto"),
        part("notice", "p", "notice"),
      ),
      element(
        "div",
        "frame",
        element(
          "div",
          "flow",
          element(
            "section",
            "waiting",
            heading("Waiting", part("waiting", "b", "")),
            part("queueHint", "p", "hint"),
            part("queue", "canvas", ""),
          ),
          element(
            "section",
            "slots",
            heading("Connections", part("total", "b", ""), part("fromBefore", "small", "")),
            part("keptName", "p", "hint"),
            part("kept", "div", "cells"),
            part(
              "overflowArea",
              "div",
              "overflow",
              part("overflowName", "p", "hint"),
              part("overflow", "div", "cells"),
            ),
            part("beforeArea", "div", "before", part("beforeName", "p", "hint"), part("before", "div", "cells")),
            part("unseen", "p", "hint"),
            part("legend", "ul", "legend"),
          ),
          element(
            "section",
            "leaving",
            heading("Leaving"),
            part("endings", "ul", "endings"),
            part("last", "canvas", ""),
          ),
        ),
      ),
      part("details", "p", "details"),
      part("stack", "pre", "stack"),
      element("div", "frame", this.#charts.element),
    );
    this.element.setAttribute("aria-label", hasTwo ? `Pane ${pane.name}` : pane.name || "The pool");
    this.#parts.stack.tabIndex = 0;
    this.#parts.stack.setAttribute("aria-label", "Where it was checked out");
    this.#parts.queue.setAttribute("role", "img");
    this.#parts.last.setAttribute("aria-hidden", "true");
    this.#queue = new QueuePicture(this.#parts.queue);
    this.#leaving = new LeavingPicture(this.#parts.last);
    this.#cells = new Cells(pane, this.#parts, (connection) => {
      this.#selected = this.#selected === connection ? undefined : connection;
      this.#tellDetails();
    });
    this.#legend = Object.entries(stateWords).map(([state, word]) => {
      const count = element("b", "");
      const item = element("li", "", keyCell(state), count, ` ${word}`);
      this.#parts.legend.append(item);
      return { state, count, item };
    });
    for (const [ending, word] of Object.entries(pane.endings))
      this.#parts.endings.append(element("li", ending, sign(ending), part(ending, "b", ""), element("span", "", word)));
    this.#tellDetails();
  }

  draw(now) {
    const { stats, places, leftovers, left, lastToLeave, notice } = this.#pane;
    const { kept, max } = this.#pane.limits;
    const parts = this.#parts;
    write(parts.title, this.#pane.title);
    write(parts.motto, this.#pane.motto);
    write(parts.notice, notice);
    parts.notice.hidden = notice === "";

    // A replaced connection still belongs to the pool, but does not count against its limit.
    const total = Math.min(stats.total, max);
    write(parts.total, `${total}${max === Infinity ? "" : ` of at most ${max}`}`);
    write(parts.fromBefore, leftovers.length > 0 ? `+ ${leftovers.length} earlier` : "");
    const wanted = Math.min(mostCells, max === Infinity ? this.#endlessCells(places.length) : max);
    const before = Math.min(mostCells, leftovers.length);
    this.#cells.arrange(wanted, Math.min(wanted, kept), before);
    this.element.classList.toggle("is-large", wanted + before <= largeCells);
    this.element.classList.toggle("is-dense", wanted + before > wordyCells);
    write(parts.keptName, this.#pane.keptHint);
    const beyond = Math.max(0, total - kept);
    write(
      parts.overflowName,
      max === Infinity
        ? `overflow: ${beyond}, no limit, closed when enough are idle`
        : `overflow: ${beyond} of ${max - kept}, opened under load, closed when enough are idle`,
    );
    parts.overflowArea.hidden = wanted <= kept;
    write(parts.beforeName, `earlier: ${leftovers.length}, closed when returned`);
    parts.beforeArea.hidden = leftovers.length === 0;
    const seen = Math.min(wanted, places.length) + before;
    const all = places.length + leftovers.length;
    write(parts.unseen, `${seen} of ${all} are shown`);
    parts.unseen.hidden = seen === all;

    const counts = this.#cells.draw(now, this.#selected);
    for (const { state, count, item } of this.#legend) {
      write(count, counts[state] ?? 0);
      item.hidden = rare.has(state) && counts[state] === undefined;
    }

    const waiting = stats.waiting;
    write(parts.waiting, waiting);
    const { patienceMs } = this.#pane;
    write(parts.queueHint, patienceMs === Infinity ? "first come, first served" : "bars show the remaining patience");
    parts.queue.setAttribute("aria-label", `${waiting} callers wait`);
    this.#queue.draw(this.#pane.queue(), waiting, patienceMs, now, this.#pane.whenNobodyWaits);

    for (const ending of Object.keys(this.#pane.endings)) write(parts[ending], left[ending]);
    this.#leaving.draw(lastToLeave);
    this.#tellDetails();
  }

  drawCharts(series, now, tops) {
    this.#charts.draw(series, now, tops, this.#pane.limits);
  }

  set onResize(draw) {
    this.#charts.onResize = draw;
  }

  /** Changes in steps, and shrinks slowly, so that the page does not move. */
  #endlessCells(taken) {
    if (taken > this.#endless || taken < this.#endless - 1.5 * endlessStep)
      this.#endless = Math.max(1, Math.ceil(taken / endlessStep)) * endlessStep;
    return this.#endless;
  }

  /** Shows a line about the picked connection, with the acts that it allows. */
  #tellDetails() {
    const { details, stack: shown } = this.#parts;
    const connection = this.#selected;
    const {
      text,
      deeds = [],
      stack,
    } = connection === undefined ? { text: this.#pane.invitation } : this.#pane.describe(connection);
    this.#say(text, deeds);
    if (connection !== undefined) details.dataset.connection = `${this.#pane.name}${connection.id}`;
    write(shown, stack ?? "");
    shown.hidden = stack === undefined;
  }

  #say(text, deeds) {
    const { details } = this.#parts;
    const signature = `${text} ${deeds.map(([, deed]) => deed).join(" ")}`;
    if (details.dataset.said === signature) return;
    details.dataset.said = signature;
    const kept = deeds.map(
      ([label, deed]) =>
        [...details.querySelectorAll("button")].find((button) => button.dataset.deed === deed) ??
        this.#deedButton(label, deed),
    );
    // A button that has the focus stays in the document.
    let words = details.querySelector("span");
    if (words === null) details.append((words = element("span", "")));
    words.textContent = text;
    for (const button of details.querySelectorAll("button")) if (!kept.includes(button)) button.remove();
    for (const button of kept) if (!button.isConnected) details.append(button);
  }

  #deedButton(label, deed) {
    const button = element("button", "", label);
    button.type = "button";
    button.dataset.deed = deed;
    button.addEventListener("click", () => this.#select(deed, `${this.#pane.name}${this.#selected.id}`));
    return button;
  }
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  made.append(...children);
  return made;
}

const heading = (text, ...children) => element("h3", "", `${text} `, ...children);

function keyCell(state) {
  const cell = element("span", "key", sign(state));
  cell.dataset.state = state;
  return cell;
}

/** Changes a text only if it differs. */
function write(target, text) {
  const wanted = String(text);
  if (target.textContent !== wanted) target.textContent = wanted;
}
