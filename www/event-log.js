// The log under the picture: the pools' events and errors, the latest first. Shows the last forty lines, a few times a
// second at any speed. Called by main.js.

const shown = 40;

export class EventLog {
  #list;
  #onlyNotable;
  #writtenBefore = -1;
  #hadOnlyNotable = false;

  constructor(list, onlyNotable) {
    this.#list = list;
    this.#onlyNotable = onlyNotable;
  }

  draw(experiment) {
    const onlyNotable = this.#onlyNotable.checked;
    if (experiment.linesWritten === this.#writtenBefore && onlyNotable === this.#hadOnlyNotable) return;
    this.#writtenBefore = experiment.linesWritten;
    this.#hadOnlyNotable = onlyNotable;
    const lines = (onlyNotable ? experiment.lines.filter(({ isNotable }) => isNotable) : experiment.lines)
      .slice(-shown)
      .toReversed();
    const items = this.#list.children;
    while (items.length > lines.length) items[items.length - 1].remove();
    while (items.length < lines.length) this.#list.append(makeItem());
    const hasTwo = experiment.panes.length > 1;
    for (const [place, { at, pane, text, isNotable }] of lines.entries()) {
      const item = items[place];
      item.className = isNotable ? "is-notable" : "";
      item.children[0].textContent = `${(at / 1000).toFixed(3)} s`;
      item.children[1].textContent = hasTwo ? pane : "";
      item.children[2].textContent = text;
    }
  }
}

function makeItem() {
  const item = document.createElement("li");
  item.append(document.createElement("time"), document.createElement("b"), document.createElement("span"));
  return item;
}
