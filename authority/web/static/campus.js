// The page comes alive: told by the event stream that the campus changed, it fetches itself and takes over what differs.
// The server alone decides what a figure looks like; only ages and the countdown tick here.
"use strict";

const STREAM = "/api/v1/campus/stream";
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

const now = () => serverTime + (performance.now() - takenAt) / 1000;

function ago(seconds) {
  if (seconds < 2) return "now";
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
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
    const [day, shown] = new Date(serverTime * 1000).toISOString().slice(0, 19).split("T");
    const today = new Date(time * 1000).toISOString().slice(0, 10);
    say("lost", `no connection; as of ${day === today ? "" : `${day} `}${shown} UTC`);
  }
}

const keys = (root) => [...root.querySelectorAll("[data-live]")].map((element) => element.dataset.live).join();

function takeOver(fresh) {
  const [from, to] = [fresh.getElementById("content"), document.getElementById("content")];
  if (keys(from) !== keys(to)) {
    const open = new Set([...to.querySelectorAll("details[open]")].map((details) => details.querySelector("summary").textContent));
    to.replaceChildren(...document.importNode(from, true).childNodes);
    for (const details of to.querySelectorAll("details")) details.open = open.has(details.querySelector("summary").textContent);
  }
  for (const element of from.querySelectorAll("[data-live]")) {
    const target = to.querySelector(`[data-live="${element.dataset.live}"]`);
    const attributes = (element.dataset.attributes || "html").split(" ");
    for (const name of attributes) {
      if (name === "html") {
        if (target.innerHTML !== element.innerHTML) target.replaceChildren(...document.importNode(element, true).childNodes);
      } else if (target.getAttribute(name) !== element.getAttribute(name)) {
        target.setAttribute(name, element.getAttribute(name));
      }
    }
  }
  document.getElementById("countdown").dataset.endsAt = fresh.getElementById("countdown").dataset.endsAt;
  serverTime = Number(from.dataset.time);
  takenAt = performance.now();
  to.dataset.time = from.dataset.time;
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
  say("live", "live");
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
  stream.addEventListener("campus", refresh);
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
