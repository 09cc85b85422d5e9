// The one live connection of a page: server-sent events in, `show(state)` out. It rests while nobody looks at the
// tab, and says so when the numbers are old.

import { clock } from "./format.js";

const STALE_AFTER = 3000; // milliseconds without news
const SILENT_AFTER = 10000; // then the connection is opened anew: a dead one may never say that it is dead
const byId = (id) => document.getElementById(id);

export function follow(campaign, show) {
  const address = "/api/v1/live" + (campaign == null ? "" : `?campaign=${encodeURIComponent(campaign)}`);
  let source = null;
  let lastNews = performance.now();
  let opened = lastNews;
  let lastTime = null;
  let trouble = "";

  function open() {
    close();
    opened = performance.now();
    source = new EventSource(address);
    source.addEventListener("live", (event) => {
      const state = JSON.parse(event.data);
      lastNews = performance.now();
      lastTime = new Date(state.at);
      trouble = "";
      show(state);
      tell();
    });
    source.addEventListener("trouble", (event) => {
      trouble = JSON.parse(event.data);
      tell();
    });
    source.addEventListener("gone", (event) => {
      trouble = JSON.parse(event.data);
      close();
      tell();
    });
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  function tell() {
    const age = performance.now() - lastNews;
    const stale = age > STALE_AFTER || trouble !== "";
    document.body.classList.toggle("stale", stale && lastTime !== null);
    const chip = byId("live-chip");
    chip.dataset.live = stale ? "off" : lastTime ? "on" : "wait";
    chip.querySelector(".sign").textContent = stale ? "✗" : lastTime ? "●" : "○";
    const then = lastTime ? clock(lastTime) : "";
    byId("live-words").textContent = stale ? "not live" : lastTime ? `live, ${then}` : "connecting";
    const banner = byId("banner");
    banner.hidden = !stale;
    if (stale) {
      const from = lastTime ? `The numbers below are from ${then}. ` : "";
      const why = trouble || `No news for ${Math.round(age / 1000)} s; trying again.`;
      const words = `${from}${why[0].toUpperCase()}${why.slice(1)}${/[.!]$/.test(why) ? "" : "."}`;
      if (banner.textContent !== words) banner.textContent = words;
    }
  }

  setInterval(() => {
    if (document.hidden) return;
    const now = performance.now();
    if (source && now - Math.max(lastNews, opened) > SILENT_AFTER && !trouble) open();
    tell();
  }, 500);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
    } else {
      lastNews = performance.now();
      open();
    }
  });
  open();
}

// Put text where the page has data-k="key" (inside `root`), touching the page only where something changed.
export function write(root, texts) {
  for (const [key, text] of Object.entries(texts)) {
    const element = root.querySelector(`[data-k="${key}"]`);
    if (element && element.textContent !== String(text)) element.textContent = text;
  }
}

// Build an element: make("td", {class: "number"}, "text", child, ...). Text is always text, never markup.
export function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

// "words `code` words" as nodes.
export function withCode(text) {
  return text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
}

export function sign(character) {
  return make("span", { class: "sign", "aria-hidden": "true" }, character);
}

export function replace(root, key, ...children) {
  const element = root.querySelector(`[data-k="${key}"]`);
  if (element) element.replaceChildren(...children);
}
