// Keeps the cards true while the page is open. Progress is written in place; when more of a card changes, it is taken anew
// from the page itself, so that there is one template and not two. Without this script the page reloads itself, and every
// link and button works as it is.
"use strict";

const cards = document.querySelector("[data-cards]");
const dialog = document.getElementById("dialog");
const spoken = document.getElementById("spoken");
const FAST = 1500, SLOW = 8000;
const said = new Map();

function write(card, field, text) {
  const place = card.querySelector(`[data-field="${field}"]`);
  if (place && place.textContent !== text) place.textContent = text;
}

// A screen reader hears of a new state, and of each quarter of a sync: numbers that move all the time are noise.
function speak(told) {
  const { items_seen: seen = 0, items_expected: expected = 0 } = told.progress ?? {};
  const quarter = expected ? Math.min(3, Math.floor((4 * seen) / expected)) : 0;
  const now = `${told.state} ${quarter}`, before = said.get(told.provider);
  said.set(told.provider, now);
  if (before === undefined || before === now) return;
  spoken.textContent = `${told.title}: ${told.status}${quarter ? `, ${quarter * 25} percent` : ""}`;
}

function update(card, told) {
  if (card.dataset.version !== told.version) return false;
  write(card, "status", told.status);
  if (told.advice) write(card, "advice", told.advice);
  write(card, "documents", told.documents_words);
  if (!told.progress) return true;
  write(card, "progress", told.progress.words);
  const bar = card.querySelector("progress");
  if (bar && told.progress.items_expected) {
    bar.max = told.progress.items_expected;
    bar.value = Math.min(told.progress.items_seen, bar.max);
  }
  return true;
}

async function fetched(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return null;
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// What was open stays open, and the focus stays where it was, as far as the new card has such a place.
function replace(card, fresh) {
  for (const details of card.querySelectorAll("details[open]")) {
    const again = fresh.querySelector(`#${details.id}`);
    if (again) again.open = true;
  }
  const focused = card.contains(document.activeElement) ? document.activeElement : null;
  card.replaceWith(fresh);
  if (!focused) return;
  const label = focused.getAttribute("aria-label");
  const same = label && [...fresh.querySelectorAll("[aria-label]")].find((e) => e.getAttribute("aria-label") === label);
  (same ?? fresh.querySelector("button, a, summary"))?.focus();
}

async function renew(stale) {
  const page = await fetched(location.pathname);
  for (const card of page ? stale : []) {
    const fresh = page.getElementById(card.id);
    if (fresh) replace(card, document.importNode(fresh, true));
  }
}

async function look() {
  let wait = SLOW;
  try {
    const answer = await fetch(cards.dataset.cards, { headers: { Accept: "application/json" } });
    if (answer.status === 401) return location.reload();
    if (answer.ok) {
      const { integrations } = await answer.json();
      const stale = [];
      for (const told of integrations) {
        const card = document.getElementById(`card-${told.provider}`);
        if (card && !update(card, told)) stale.push(card);
        speak(told);
        if (told.progress) wait = FAST;
      }
      if (stale.length) await renew(stale);
    }
  } catch {
    // The server is away for a moment: the next look will tell.
  }
  setTimeout(look, document.hidden ? SLOW : wait);
}

// The page that asks before it disconnects, in a dialog; where anything is amiss, as the page that it is.
async function ask(link) {
  const confirm = (await fetched(link.href).catch(() => null))?.querySelector(".confirm");
  if (!confirm) return location.assign(link.href);
  dialog.replaceChildren(document.importNode(confirm, true));
  dialog.showModal();
}

if (cards) {
  // What the address says of the last press has been shown: a reload should not say it again.
  if (location.search) history.replaceState(null, "", location.pathname);
  setTimeout(look, FAST);
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest?.("a[data-dialog]");
    if (link) {
      event.preventDefault();
      ask(link);
    } else if (event.target === dialog || event.target.closest?.("dialog a[data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });
}
