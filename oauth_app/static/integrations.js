// Keeps the cards true while the page is open. Progress is written in place; when a card's state changes, the card is
// taken anew from the page itself, so that there is one template and not two.
"use strict";

const cards = document.querySelector("[data-cards]");
const FAST = 1500, SLOW = 8000;

function write(card, field, text) {
  const place = card.querySelector(`[data-field="${field}"]`);
  if (place && place.textContent !== text) place.textContent = text;
}

function showProgress(card, told) {
  const bar = card.querySelector("progress");
  if (bar && told.progress.items_expected) {
    bar.max = told.progress.items_expected;
    bar.value = Math.min(told.progress.items_seen, bar.max);
  }
  write(card, "progress", told.progress.words);
}

function update(card, told) {
  if (card.dataset.state !== told.state || Boolean(card.querySelector("progress")) !== Boolean(told.progress)) {
    return false;
  }
  write(card, "status", told.status);
  write(card, "documents", told.documents_words);
  if (told.progress) showProgress(card, told);
  return true;
}

async function renew(stale) {
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const card of stale) {
    const fresh = page.getElementById(card.id);
    if (!fresh) continue;
    const hadFocus = card.contains(document.activeElement);
    card.replaceWith(document.importNode(fresh, true));
    if (hadFocus) document.getElementById(card.id).querySelector("button")?.focus();
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
        if (told.progress) wait = FAST;
      }
      if (stale.length) await renew(stale);
    }
  } catch {
    // The server is away for a moment: the next look will tell.
  }
  setTimeout(look, document.hidden ? SLOW : wait);
}

if (cards) setTimeout(look, FAST);
