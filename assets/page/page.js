// Live updates, keyboard shortcuts and local times. Every page and form works without this script.

const live = document.getElementById("live");
const offline = document.getElementById("connection");

// Making a formatter takes long: only those that a page needs, and each once.
const styles = {
  full: { dateStyle: "medium", timeStyle: "medium" },
  date: { dateStyle: "medium", timeStyle: "short" },
  time: { timeStyle: "short" },
  clock: { timeStyle: "medium", hourCycle: "h23" },
};
const formats = {};
function formatted(style, at) {
  formats[style] ??= new Intl.DateTimeFormat(undefined, styles[style]);
  return formats[style].format(at);
}

function localTimes(root) {
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    if ("clock" in element.dataset) { element.textContent = formatted("clock", at); continue; }
    const seconds = (Date.now() - at.getTime()) / 1000;
    if (seconds < 60) element.textContent = "just now";
    else if (seconds < 3600) element.textContent = `${Math.floor(seconds / 60)} min ago`;
    else element.textContent = formatted(at.toDateString() === today ? "time" : "date", at);
  }
}

document.addEventListener("pointerover", (event) => {
  const element = event.target.closest && event.target.closest("time[datetime]");
  if (element && !Number.isNaN(Date.parse(element.dateTime))) element.title = formatted("full", new Date(element.dateTime));
});

// A server's log continues while its page is visible: a browser opens only a few connections to one host.
let logStream = null;
function followLog() {
  if (logStream) logStream.close();
  const log = document.querySelector("[data-log]");
  logStream = log && !document.hidden ? new EventSource(log.dataset.log) : null;
  if (!logStream) return;
  logStream.onmessage = (event) => {
    const isAtEnd = showsEnd(log);
    const text = log.innerHTML.length > 200000 ? log.innerHTML.slice(-100000).replace(/^[^\n]*\n/, "") : null;
    if (text !== null) log.innerHTML = text;
    log.insertAdjacentHTML("beforeend", `${event.data}\n`);
    localTimes(log);
    if (isAtEnd) log.scrollTop = log.scrollHeight;
    // The next stream continues after these lines.
    log.dataset.log = log.dataset.log.replace(/\d+$/, event.lastEventId);
  };
}

function showsEnd(log) {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

// Scrolls the log of the page to its end, or to where the user was.
function scrollLog(top) {
  const log = document.querySelector("[data-log]");
  if (log) log.scrollTop = top ?? log.scrollHeight;
}

// Someone is typing, choosing or selecting text: the page stays as it is.
function isBusy() {
  const focus = document.activeElement;
  if (focus && live.contains(focus) && focus.matches("input, textarea, select")) return true;
  if (live.querySelector("[data-dirty]")) return true;
  const search = live.querySelector("[data-filter]");
  if (search && search.value) return true;
  return String(getSelection()).length > 0;
}

const loaded = Date.now();

// Tells the collapsed parts of a page apart: by the form or list entry that they are in, and their place.
function pathOf(summary) {
  const item = summary.closest("li, section, form");
  const name = item && item.querySelector("strong, h2, h3, .name");
  return `${name ? name.textContent : ""}|${summary.textContent}`;
}

function keyOf(element) {
  if (!element || element === document.body) return null;
  const form = element.closest("form");
  return [element.tagName, element.id, element.getAttribute("href"), form && form.getAttribute("action"), element.textContent].join("|");
}

let running = false;
let again = false;

async function refresh() {
  if (running) { again = true; return; }
  if (isBusy() || document.hidden || !live || live.dataset.still === "1") { again = false; stale = true; return; }
  running = true;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html", "x-mcpproxy-refresh": "1" }, cache: "no-store" });
    if (response.status === 401) { location.reload(); return; }
    if (!response.ok && response.status !== 404) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById("live");
    if (!fresh || isBusy()) return;
    localTimes(fresh);
    if (fresh.innerHTML !== live.innerHTML) {
      const focused = live.contains(document.activeElement) ? keyOf(document.activeElement) : null;
      // The message about the last action stays for a while, and what was opened stays open.
      const notice = Date.now() - loaded < 10000 ? live.querySelector("[data-flash]") : null;
      const opened = [...live.querySelectorAll("details[open] > summary")].map(pathOf);
      const log = live.querySelector("[data-log]");
      const top = log && !showsEnd(log) ? log.scrollTop : null;
      live.replaceChildren(...fresh.childNodes);
      if (notice) live.prepend(notice);
      scrollLog(top);
      followLog();
      for (const summary of live.querySelectorAll("details > summary")) if (opened.includes(pathOf(summary))) summary.parentElement.open = true;
      if (focused) {
        const same = [...live.querySelectorAll("a, button, [tabindex]")].find((element) => keyOf(element) === focused);
        if (same) same.focus({ preventScroll: true });
      }
    }
    const nav = document.querySelector(".side nav");
    const freshNav = page.querySelector(".side nav");
    if (nav && freshNav && nav.innerHTML !== freshNav.innerHTML && !nav.contains(document.activeElement)) nav.innerHTML = freshNav.innerHTML;
    stale = false;
  } catch {
    // The stream says when MCPProxy is back.
  } finally {
    running = false;
    if (again) { again = false; later(); }
  }
}

let stale = false;
let timer = 0;
function later() {
  if (!timer) timer = setTimeout(() => { timer = 0; refresh(); }, 300);
}

function listen() {
  const events = new EventSource("/ui/events");
  let opened = false;
  events.onopen = () => {
    offline.hidden = true;
    if (opened || document.body.dataset.lost) refresh();
    opened = true;
    delete document.body.dataset.lost;
  };
  events.onerror = async () => {
    document.body.dataset.lost = "1";
    offline.hidden = false;
    if (events.readyState !== EventSource.CLOSED) return;
    // A restart of the core ends all sessions: the reload shows how to sign in.
    try {
      const answer = await fetch("/ui/events", { method: "HEAD" });
      if (answer.status === 401) { location.reload(); return; }
    } catch { /* still away */ }
    setTimeout(listen, 1000);
  };
  const names = ["servers.changed", "status", "activity.tool_call.completed", "activity.internal_tool_call.completed",
    "activity.policy_decision", "activity.quarantine_change", "activity.tool_quarantine_change", "activity.config_change", "activity.server_change"];
  for (const name of names) events.addEventListener(name, later);
}

if (live) {
  localTimes(document);
  scrollLog(null);
  setInterval(() => localTimes(document), 30000);
  // A result or an error stays, and an update must not contact other hosts again.
  if (document.querySelector("pre[aria-label='Result'], .notice[role='alert']:not([data-flash]), [data-still]")) live.dataset.still = "1";
  // The streams open after the first paint.
  requestAnimationFrame(() => setTimeout(() => { followLog(); listen(); }));
  document.addEventListener("visibilitychange", () => { followLog(); if (!document.hidden) refresh(); });
  live.addEventListener("input", (event) => {
    const form = event.target.closest("form");
    if (form && form.method === "post") form.dataset.dirty = "1";
  });
  document.addEventListener("focusout", () => { if (stale) later(); });
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// Shows only the settings with all words, and unfolds what was found.
function filter(input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const selector = input.dataset.filter;
  for (const element of document.querySelectorAll(selector)) {
    const text = (element.querySelector(".about") ?? element).textContent.toLowerCase();
    element.hidden = !words.every((word) => text.includes(word));
  }
  const isEmpty = (element) => !element.querySelector(`${selector}:not([hidden])`);
  for (const folded of document.querySelectorAll(".group details")) {
    folded.hidden = isEmpty(folded);
    if (words.length) folded.dataset.wasOpen ??= folded.open ? "1" : "";
    folded.open = words.length ? true : Boolean(folded.dataset.wasOpen ?? folded.open);
    if (!words.length) delete folded.dataset.wasOpen;
  }
  const groups = [...document.querySelectorAll(".group")];
  for (const group of groups) group.hidden = isEmpty(group);
  const none = document.querySelector("[data-none]");
  if (none) none.hidden = groups.some((group) => !group.hidden);
}

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-filter]")) filter(event.target);
});

// The filter has found everything already; a new page would lose what the user has entered.
document.addEventListener("submit", (event) => {
  if (event.target.querySelector("[data-filter]")) event.preventDefault();
});

const places = { h: "/ui/", s: "/ui/servers", r: "/ui/review", t: "/ui/tools", a: "/ui/activity", c: "/ui/clients" };
let waitsForPlace = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (waitsForPlace) {
    waitsForPlace = false;
    const place = places[event.key];
    if (place) { event.preventDefault(); location.href = place; }
    return;
  }
  if (event.key === "g") { waitsForPlace = true; return; }
  const shortcut = document.querySelector(`[data-shortcut="${CSS.escape(event.key)}"]`);
  if (shortcut) { event.preventDefault(); shortcut.focus(); }
});
