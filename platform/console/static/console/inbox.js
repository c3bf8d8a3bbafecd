// One key for each choice of an agent, and texts that a choice puts into the draft, or into the answer without one.
"use strict";

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "Escape" && isTyping) return event.target.blur();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
    return event.target.form?.querySelector("[data-send]")?.click();
  }
  if (isTyping || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const found = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!found) return;
  event.preventDefault();
  if (found.matches("textarea")) found.focus();
  else found.click();
});

document.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-insert]");
  if (!chosen) return;
  const draft = document.getElementById("draft-text");
  const text = draft ?? document.getElementById("answer-text");
  // What the agent has not written gives way, the rest stays.
  const isWritten = text.value && ![draft?.defaultValue, text.dataset.inserted].includes(text.value);
  text.value = isWritten ? `${text.value}\n${chosen.dataset.insert}` : chosen.dataset.insert;
  text.dataset.inserted = chosen.dataset.insert;
  text.focus();
});
