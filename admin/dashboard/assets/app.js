// Keeps an open page up to date: the elements with data-live are replaced by those of the
// same page as the server makes it now. Times are shown in the browser's time zone.
(() => {
  "use strict";

  const every = Number(document.querySelector("[data-every]")?.dataset.every || 10) * 1000;
  const alertBox = document.getElementById("alert");
  const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  function localize(root) {
    for (const e of root.querySelectorAll("time[datetime]")) {
      const t = new Date(e.dateTime);
      e.textContent = ("date" in e.dataset ? date : time).format(t);
      e.title = t.toLocaleString();
    }
  }

  // lost says since when the page is not up to date; null: it is.
  let lost = null;
  function connected(ok) {
    if (ok) {
      if (lost) alertBox.replaceChildren();
      lost = null;
    } else if (!lost) {
      lost = new Date();
      const p = document.createElement("p");
      p.className = "notice bad";
      p.textContent = `The server does not respond since ${time.format(lost)}. What you see is older.`;
      alertBox.replaceChildren(p);
    }
  }

  // get requests something of the server; null: it did not respond.
  async function get(url) {
    try {
      const r = await fetch(url, { credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(15000) });
      if (r.type === "opaqueredirect" || r.status === 401) {
        location.reload(); // the login has ended
        return null;
      }
      connected(r.ok);
      return r.ok ? r : null;
    } catch {
      connected(false);
      return null;
    }
  }

  function replace(page) {
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = page.getElementById(old.id);
      if (!now || old.contains(document.activeElement) && old !== document.activeElement) continue;
      localize(now);
      if (old.innerHTML !== now.innerHTML) old.replaceChildren(...now.childNodes);
    }
  }

  // Only what a person should hear at once is announced: not every figure that changes.
  function announce() {
    const state = document.getElementById("state-name"), box = document.getElementById("announce");
    if (state && box && box.dataset.state !== state.textContent) {
      if (box.dataset.state) box.textContent = `The server is ${state.textContent}.`;
      box.dataset.state = state.textContent;
    }
  }

  async function update() {
    const r = await get(location.href);
    if (!r) return;
    replace(new DOMParser().parseFromString(await r.text(), "text/html"));
    announce();
    document.dispatchEvent(new Event("roost:updated"));
  }

  window.roost = { get, time };
  localize(document);
  announce();
  if (document.querySelector("[data-live]")) {
    setInterval(() => { if (!document.hidden) update(); }, every);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) update(); });
  }
})();
