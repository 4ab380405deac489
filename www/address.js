// Keeps the address of the page up to date while the experiment runs, and reports when the visitor enters another one.
// link.js has its format. main.js makes one.

/** Browsers refuse an address that changes about a hundred times in half a minute, as a slider would cause. */
const pauseMs = 500;

export class Address {
  #textNow;
  #written;
  #lastAt = -pauseMs;
  #timer;

  /** `textNow` returns the text, or undefined if it is not known yet; `changed` is called for a new address. */
  constructor(textNow, changed) {
    this.#textNow = textNow;
    addEventListener("hashchange", () => {
      if (location.hash.slice(1) !== this.#written) changed();
    });
    addEventListener("pagehide", () => this.write());
  }

  /** Returns the current text. */
  read() {
    return (this.#written = location.hash.slice(1));
  }

  writeSoon() {
    this.#timer ??= setTimeout(() => this.write(), this.#lastAt + pauseMs - performance.now());
  }

  /** Writes the address. `isNew`: the browser's Back leads to the current one. */
  write(isNew = false) {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const text = this.#textNow();
    // The visitor may have entered an address whose event is still to come: do not overwrite it.
    if (text === undefined || text === this.#written || location.hash.slice(1) !== this.#written) return;
    this.#lastAt = performance.now();
    history[isNew ? "pushState" : "replaceState"](
      null,
      "",
      text === "" ? location.pathname + location.search : `#${text}`,
    );
    this.read();
  }
}
