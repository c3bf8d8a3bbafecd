// One key for each choice of an agent, and texts that a click puts into the answer.
"use strict";

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "Escape" && isTyping) return event.target.blur();
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
  const answer = document.getElementById("answer-text");
  answer.value = answer.value ? `${answer.value}\n${chosen.dataset.insert}` : chosen.dataset.insert;
  answer.focus();
});
