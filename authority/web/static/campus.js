// The page comes alive: the event stream brings each element that changed, as the server rendered it. Where the elements
// themselves are others, or there is no stream, the page fetches itself and takes over what differs.
// The server alone decides what a figure looks like; only ages and the countdown tick here.
"use strict";
const known = JSON.parse(document.getElementById("words")?.textContent || "{}");
const gettext = (english, values = {}) =>
  (known[english] ?? english).replace(/%\((\w+)\)s/g, (_, name) => String(values[name]));

const STREAM = "/live";
const LOST_AFTER = 12_000;
const POLL_EVERY = 5_000;

const connection = document.getElementById("connection");
const connectionText = document.getElementById("connection-text");
let serverTime = Number(document.getElementById("content").dataset.time);
let takenAt = performance.now();
let heardAt = performance.now();
let fetching = false;
let again = false;
let fresh = true;

// Where the demo is paused the page stays as it was, and so do its countdown and ages.
const stands = () => document.querySelector('[data-live="notice"]')?.dataset.stands === "yes";
const now = () => (stands() ? serverTime : serverTime + (performance.now() - takenAt) / 1000);

function ago(seconds) {
  if (seconds < 2) return gettext("now");
  if (seconds < 120) return gettext("%(count)s s ago", {count: seconds});
  if (seconds < 7200) return gettext("%(count)s min ago", {count: Math.floor(seconds / 60)});
  if (seconds < 172800) return gettext("%(count)s h ago", {count: Math.floor(seconds / 3600)});
  return gettext("%(count)s days ago", {count: Math.floor(seconds / 86400)});
}

function clock(seconds) {
  const left = Math.max(0, seconds);
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function say(state, text) {
  if (connection.dataset.state !== state) connection.dataset.state = state;
  setText(connectionText, text);
}

// A moment's day and time of day on the site's clock, as the server writes them.
const zone = document.getElementById("content").dataset.zone;
const siteClock = new Intl.DateTimeFormat("sv-SE", {timeZone: zone, dateStyle: "short", timeStyle: "medium"});
const atSite = (seconds) => siteClock.format(new Date(seconds * 1000)).split(" ");

function tick() {
  const time = now();
  const countdown = document.getElementById("countdown");
  const left = Number(countdown.dataset.endsAt) - Math.floor(time);
  const length = Number(document.getElementById("content").dataset.epochSeconds);
  setText(countdown, clock(Math.min(left, length)));
  document.getElementById("progress").value = Math.min(length, Math.max(0, length - left));
  for (const age of document.querySelectorAll(".ticking")) {
    const seconds = Math.max(0, Math.floor(time) - Number(age.dataset.at));
    setText(age, ago(seconds));
    age.closest(".building").dataset.stale = seconds > Number(age.dataset.staleAfter) ? "yes" : "no";
  }
  if (performance.now() - heardAt > LOST_AFTER) {
    const [day, shown] = atSite(serverTime);
    const [today] = atSite(serverTime + (performance.now() - takenAt) / 1000);
    say("lost", gettext("no connection; as of %(time)s %(zone)s", {time: day === today ? shown : `${day} ${shown}`, zone}));
  }
}

const liveElements = (root) => [...root.querySelectorAll("[data-live]")];
const keys = (root) => liveElements(root).map((element) => element.dataset.live).join();

// What of a live element counts: its attributes that it names, and its content unless that ticks or holds live elements.
function fragment(element) {
  const found = {};
  for (const name of (element.dataset.attributes || "").split(" ").filter(Boolean)) found[name] = element.getAttribute(name);
  if (!("ticks" in element.dataset) && !element.querySelector("[data-live]") && !(element instanceof SVGElement)) found.html = element.innerHTML;
  return found;
}

function show(target, found) {
  for (const [name, value] of Object.entries(found)) {
    if (name === "html") {
      if (target.innerHTML !== value) target.innerHTML = value;
    } else if (target.getAttribute(name) !== value) {
      target.setAttribute(name, value);
    }
  }
}

function takenAtServer(time) {
  serverTime = time;
  takenAt = performance.now();
  document.getElementById("content").dataset.time = time;
}

function takeOver(page) {
  const [from, to] = [page.getElementById("content"), document.getElementById("content")];
  if (keys(from) !== keys(to)) {
    const open = new Set([...to.querySelectorAll("details[open]")].map((details) => details.querySelector("summary").textContent));
    to.replaceChildren(...document.importNode(from, true).childNodes);
    for (const details of to.querySelectorAll("details")) details.open = open.has(details.querySelector("summary").textContent);
  }
  for (const element of liveElements(from)) show(to.querySelector(`[data-live="${element.dataset.live}"]`), fragment(element));
  takenAtServer(Number(from.dataset.time));
}

function takeFigures(message) {
  const { time, changed } = JSON.parse(message.data);
  const targets = new Map(liveElements(document).map((element) => [element.dataset.live, element]));
  for (const key of Object.keys(changed)) if (!targets.has(key)) return refresh();
  for (const [key, found] of Object.entries(changed)) show(targets.get(key), found);
  takenAtServer(time);
  fresh = true;
  heard();
  tick();
}

async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const response = await fetch("/", { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    takeOver(new DOMParser().parseFromString(await response.text(), "text/html"));
    fresh = true;
    heard();
  } catch (error) {
    fresh = false;
    console.warn("The page could not be refreshed:", error);
  } finally {
    fetching = false;
    tick();
    if (again) {
      again = false;
      refresh();
    }
  }
}

function heard() {
  heardAt = performance.now();
  if (stands()) say("page", gettext("paused, as of %(time)s %(zone)s", {time: atSite(serverTime)[1], zone}));
  else say("live", gettext("live"));
}

let polling = null;

function poll() {
  if (polling === null) polling = setInterval(refresh, POLL_EVERY);
}

function connect() {
  const stream = new EventSource(STREAM);
  stream.addEventListener("open", () => {
    clearInterval(polling);
    polling = null;
  });
  stream.addEventListener("figures", takeFigures);
  stream.addEventListener("page", refresh);
  stream.addEventListener("beat", () => (fresh ? heard() : refresh()));
  stream.addEventListener("error", () => {
    // The browser reconnects by itself, except where the server refused: then the page asks now and again.
    if (stream.readyState === EventSource.CLOSED) {
      poll();
      setTimeout(connect, 30_000);
    }
  });
}

setInterval(tick, 500);
tick();
connect();
