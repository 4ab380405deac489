// The settings on a narrow screen: a sheet at the lower edge that opens over the page, so that the picture stays
// visible while a slider moves. On a wide screen the settings are beside the picture (style.css). Called by main.js.

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
