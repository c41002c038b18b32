// Follows a proposal that is being written, and shows it when it is.
"use strict";

const waiting = document.querySelector("[data-proposal]");

async function look() {
  try {
    const answer = await fetch(waiting.dataset.proposal, { headers: { Accept: "application/json" } });
    if (answer.status === 401 || (answer.ok && (await answer.json()).status !== waiting.dataset.status)) {
      return location.reload();
    }
  } catch {
    // The server is away for a moment: the next look will tell.
  }
  setTimeout(look, 2000);
}

if (waiting) setTimeout(look, 2000);
