// The two tabs of the page: shows the one that the visitor chooses, by pointer or arrow keys. main.js makes it.

export class Tabs {
  shown;
  #buttons;

  /** `chosen` is called when the visitor has chosen another tab. */
  constructor(buttons, chosen) {
    this.#buttons = buttons;
    for (const [place, button] of buttons.entries()) {
      button.addEventListener("click", () => {
        this.show(nameOf(button));
        chosen();
      });
      button.addEventListener("keydown", ({ key }) => {
        if (key !== "ArrowLeft" && key !== "ArrowRight") return;
        const other = buttons[1 - place];
        other.focus();
        other.click();
      });
    }
  }

  show(name) {
    this.shown = name;
    for (const button of this.#buttons) {
      const isShown = nameOf(button) === name;
      button.setAttribute("aria-selected", String(isShown));
      button.tabIndex = isShown ? 0 : -1;
      document.getElementById(button.getAttribute("aria-controls")).hidden = !isShown;
    }
  }
}

const nameOf = (button) => button.getAttribute("aria-controls");
