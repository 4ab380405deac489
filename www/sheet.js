// The settings where the screen is narrow: a sheet at its lower edge that opens over the page, so that a slider can be moved
// with the picture in sight. Where there is room they stand beside the picture (style.css). Called by main.js.

export function makeSheet(sheet, toggle) {
  const show = (isOpen) => {
    sheet.classList.toggle("is-open", isOpen);
    toggle.setAttribute("aria-expanded", String(isOpen));
  };
  toggle.addEventListener("click", () => show(!sheet.classList.contains("is-open")));
  sheet.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !sheet.classList.contains("is-open")) return;
    show(false);
    toggle.focus();
  });
}
