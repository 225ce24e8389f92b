"use strict";
for (const value of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  const label = (text) => {
    button.textContent = text;
    button.setAttribute("aria-label", text + ": " + value.dataset.copy);
  };
  button.type = "button";
  label("Copy");
  button.addEventListener("click", async () => {
    const selection = getSelection();
    const range = document.createRange();
    range.selectNodeContents(value);
    selection.removeAllRanges();
    selection.addRange(range);
    let done = false;
    try {
      await navigator.clipboard.writeText(value.textContent);
      done = true;
    } catch {
      done = document.execCommand("copy"); // without TLS there is no other clipboard
    }
    if (done) selection.removeAllRanges();
    label(done ? "Copied" : "Selected");
    setTimeout(() => label("Copy"), 2000);
  });
  value.after(button);
}
// Nobody loses a selection, and a tab that nobody sees asks for nothing.
const again = () => {
  if (document.hidden || !getSelection().isCollapsed) setTimeout(again, 2000);
  else location.reload();
};
if (document.body.dataset.refresh) setTimeout(again, 1000 * document.body.dataset.refresh);
