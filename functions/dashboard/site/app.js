/** The page's frame: which view a #/… address shows, and the key without which there is none. */

import { ApiError, control } from "./api.js";
import { announce, field, h } from "./dom.js";
import { problemCard } from "./notices.js";
import { controlKey, forget } from "./session.js";
import { comparePage } from "./compare.js";
import { environmentsPage } from "./environments.js";
import { newRunPage } from "./new_run.js";
import { policiesPage } from "./policies.js";
import { policyPage } from "./policy.js";
import { runPage } from "./run.js";
import { runsPage } from "./runs.js";

/** A view gets (parameters, query, signal): it fills `main` and stops refreshing when the signal is aborted. */
const ROUTES = [
  [/^\/runs$/, runsPage],
  [/^\/runs\/([^/]+)$/, runPage],
  [/^\/new$/, newRunPage],
  [/^\/policies$/, policiesPage],
  [/^\/policies\/([^/]+)$/, policyPage],
  [/^\/environments$/, environmentsPage],
  [/^\/compare$/, comparePage],
];

const main = document.getElementById("main");
const forgetButton = document.getElementById("forget-key");
let present = new AbortController();

async function show() {
  present.abort();
  present = new AbortController();
  const { signal } = present;
  const [path, text = ""] = (location.hash.slice(1) || "/runs").split("?");
  markNavigation(path);
  forgetButton.hidden = !controlKey.get();
  if (!controlKey.get()) return main.replaceChildren(keyForm());
  const route = ROUTES.find(([pattern]) => pattern.test(path));
  if (!route) return main.replaceChildren(h("h1", {}, "There is no such page"), h("a", { href: "#/runs" }, "All runs"));
  const parameters = path.match(route[0]).slice(1).map(decodeURIComponent);
  const place = h("div", { class: "page" }, h("p", { class: "loading" }, "Loading…"));
  main.replaceChildren(place);
  try {
    await route[1](place, parameters, new URLSearchParams(text), signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    const wrongKey = error instanceof ApiError && error.problem.status === 403;
    place.replaceChildren(h("h1", {}, "This did not work"), problemCard(error), wrongKey ? keyForm() : "");
  }
  if (!signal.aborted) enterPage();
  return undefined;
}

function enterPage() {
  const heading = main.querySelector("h1");
  document.title = `${heading?.textContent ?? "gamedojo"} · gamedojo`;
  announce(heading?.textContent ?? "");
}

function markNavigation(path) {
  for (const link of document.querySelectorAll("header a")) {
    const here = path.startsWith(link.hash.slice(1));
    if (here && !link.classList.contains("brand")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function keyForm() {
  const input = h("input", { id: "api-key", type: "password", autocomplete: "off", required: true });
  const place = h("div");
  async function enter(event) {
    event.preventDefault();
    controlKey.set(input.value.trim());
    try {
      await control("GET", "/training-runs?limit=1");
      await show();
      main.focus();
    } catch (error) {
      controlKey.set("");
      place.replaceChildren(problemCard(error));
      input.focus();
    }
  }
  return h("form", { class: "card narrow", onsubmit: enter },
    h("h1", {}, "Enter the API key"),
    h("p", {}, "It is the control API's: the local cloud prints it when it starts; of a deployed stack, the output "
      + "ControlApiKeyId says where it is. It is kept in this tab and forgotten when the tab closes."),
    place, field("API key", input), h("div", { class: "actions" }, h("button", { class: "primary" }, "Open")));
}

window.addEventListener("hashchange", () => {
  show().then(() => main.focus({ preventScroll: true }));
  window.scrollTo(0, 0);
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
forgetButton.addEventListener("click", () => {
  forget();
  show();
});
show();
