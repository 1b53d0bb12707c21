// What the pages do beside htmx: the beat of what is live, keys, copying, choosing several, and telling of trouble.
"use strict";

(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // A tab that nobody looks at asks for nothing.
  const beat = (name) => { if (!document.hidden) document.body.dispatchEvent(new Event(name)); };
  setInterval(() => beat("tick"), 1000);
  setInterval(() => beat("slow"), 5000);
  document.addEventListener("visibilitychange", () => { beat("tick"); beat("slow"); });

  let quiet;
  const tell = (text) => {
    one("#told").textContent = text;
    clearTimeout(quiet);
    quiet = setTimeout(() => { one("#told").textContent = ""; }, 4000);
  };
  document.body.addEventListener("told", (event) => tell(event.detail.value));

  const trouble = (text) => {
    one("#trouble").textContent = text;
    one("#trouble").hidden = !text;
  };
  document.body.addEventListener("htmx:sendError", () => trouble("Nobody answers: it was stopped, or starts again. This page goes on when it is back."));
  document.body.addEventListener("htmx:responseError", (event) => {
    let said = "";
    try { said = JSON.parse(event.detail.xhr.responseText).detail; } catch { /* not a problem as RFC 9457 has it */ }
    trouble(said || `The answer was ${event.detail.xhr.status}.`);
  });
  document.body.addEventListener("htmx:afterOnLoad", (event) => { if (event.detail.xhr.status < 400) trouble(""); });

  // Choosing several
  const count = () => {
    const bar = one(".chosen");
    if (!bar) return;
    const chosen = all(".row > input:checked").length;
    bar.hidden = !chosen;
    one("[data-count]", bar).textContent = `${chosen} selected`;
  };
  document.addEventListener("change", (event) => { if (event.target.matches(".row > input")) count(); });
  document.body.addEventListener("htmx:afterSettle", count);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.copy) {
      await navigator.clipboard.writeText(one(button.dataset.copy).textContent);
      tell("Copied.");
    } else if (button.dataset.show) {
      one(button.dataset.show).showModal();
    } else if ("clear" in button.dataset) {
      all(".row > input:checked").forEach((box) => { box.checked = false; });
      count();
    }
  });

  // How much of a live list is there, and whether its top is what one looks at
  document.body.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.path !== "/live") return;
    event.detail.parameters.rows = all("#rows > [id]").length;
    event.detail.parameters.top = scrollY < 200;
  });

  // Which row is open
  const mark = () => all("[data-row]").forEach((row) => {
    if (new URL(row.href).pathname === location.pathname) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  });
  ["htmx:pushedIntoHistory", "htmx:afterSettle"].forEach((name) => document.body.addEventListener(name, mark));
  mark();

  // Where the detail takes the list's place, the focus goes along
  document.body.addEventListener("htmx:afterSettle", (event) => {
    const back = event.target.id === "detail" && one(".back");
    if (back && back.offsetParent) { scrollTo(0, 0); back.focus(); }
  });

  // What is wrong with what one types, told to who does not see it; and a text that is typed is no null
  const flaws = () => all(".flaw[id]").forEach((flaw) => all(`[aria-describedby~="${flaw.id}"]`).forEach((field) => {
    if (flaw.textContent.trim()) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }));
  ["htmx:afterSettle", "htmx:oobAfterSwap"].forEach((name) => document.body.addEventListener(name, flaws));
  document.addEventListener("input", (event) => {
    const type = event.target.matches(".control > input") && one("[data-type]", event.target.parentElement);
    if (type && ["null", "left out"].includes(type.value)) type.selectedIndex = 0;
  }, true);

  // Keys
  const move = (by) => {
    const rows = all("[data-row]");
    const here = rows.findIndex((row) => row === document.activeElement);
    const from = here >= 0 ? here : rows.findIndex((row) => row.hasAttribute("aria-current"));
    const next = rows[Math.min(Math.max(from + by, 0), rows.length - 1)];
    if (next) next.focus();
  };
  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    "/": () => one("#text") && one("#text").focus(),
    r: () => { const button = one("[data-again]"); if (button) button.click(); },
    "?": () => one("#keys") && one("#keys").showModal(),
    Escape: () => { const back = one(".back"); if (back && back.offsetParent) back.click(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });
})();
