// The log under the picture: the pools' events and errors, the latest first. Shows the last forty lines.

const shown = 40;

export class EventLog {
  #list;
  #onlyNotable;
  #writtenBefore = -1;
  #hadOnlyNotable = false;
  #timeOf;

  /** `timeOf` words the moment of a line. */
  constructor(list, onlyNotable, timeOf) {
    this.#list = list;
    this.#onlyNotable = onlyNotable;
    this.#timeOf = timeOf;
  }

  /** `source`: has the `lines`, how many were `linesWritten`, and the `panes`. */
  draw(source) {
    const onlyNotable = this.#onlyNotable.checked;
    if (source.linesWritten === this.#writtenBefore && onlyNotable === this.#hadOnlyNotable) return;
    this.#writtenBefore = source.linesWritten;
    this.#hadOnlyNotable = onlyNotable;
    const lines = (onlyNotable ? source.lines.filter(({ isNotable }) => isNotable) : source.lines)
      .slice(-shown)
      .toReversed();
    const items = this.#list.children;
    while (items.length > lines.length) items[items.length - 1].remove();
    while (items.length < lines.length) this.#list.append(makeItem());
    const hasTwo = source.panes.length > 1;
    for (const [place, { at, pane, text, isNotable }] of lines.entries()) {
      const item = items[place];
      item.className = isNotable ? "is-notable" : "";
      item.children[0].textContent = this.#timeOf(at);
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
