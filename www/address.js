// The address of the page: keeps it true while the experiment goes on, and tells when somebody has put another one there.
// What it says is link.js's matter. main.js makes one.

/** Browsers refuse an address that changes about a hundred times in half a minute, as it would under a slider. */
const pauseMs = 500;

export class Address {
  #textNow;
  #written;
  #lastAt = -pauseMs;
  #timer;

  /** `textNow` answers what is to stand there, undefined where that is not known yet; `changed` is called for another one. */
  constructor(textNow, changed) {
    this.#textNow = textNow;
    addEventListener("hashchange", () => {
      if (location.hash.slice(1) !== this.#written) changed();
    });
    addEventListener("pagehide", () => this.write());
  }

  /** What stands there now. */
  read() {
    return (this.#written = location.hash.slice(1));
  }

  writeSoon() {
    this.#timer ??= setTimeout(() => this.write(), this.#lastAt + pauseMs - performance.now());
  }

  /** `isNew`: the browser's Back leads to the one that stands there now. */
  write(isNew = false) {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const text = this.#textNow();
    // Somebody's new address of which the event is still to come is not to be written over.
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
