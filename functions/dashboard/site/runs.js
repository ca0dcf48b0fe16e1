/** All runs: filters, progress, pages. */

import { control } from "./api.js";
import { field, h } from "./dom.js";
import { ago, clock, compact, number, words } from "./format.js";
import { emptyCard } from "./notices.js";
import { repeat } from "./repeat.js";

const STATUSES = ["RUNNING", "SUCCEEDED", "KEPT", "FAILED", "CANCELLED"];
const REFRESH_MS = 8000;

export const statusBadge = (status) =>
  h("span", { class: `badge ${status.toLowerCase()}` }, status[0] + status.slice(1).toLowerCase());

/** How far the training is, as a bar; nothing before the first iteration. */
export function progressBar(record) {
  const { env_steps: steps, env_steps_limit: limit } = record.progress ?? {};
  if (steps && record.status !== "RUNNING") return h("span", { class: "number" }, number(steps));
  if (!steps || !limit) return h("span", { class: "muted" }, "–");
  return h("span", { class: "progress" },
    h("progress", { max: limit, value: Math.min(steps, limit), "aria-label": `Training of ${record.run_id}` }),
    h("span", {}, `${compact(steps)} / ${compact(limit)}`));
}

export async function runsPage(place, _, query, signal) {
  const table = h("div");
  const asked = new URLSearchParams({ limit: "20" });
  for (const name of ["policy", "status", "next_token"]) if (query.get(name)) asked.set(name, query.get(name));
  const page = await control("GET", `/training-runs?${asked}`);
  place.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, "Runs")), filters(query), table);
  render(table, page, query);
  const looksAgain = () => control("GET", `/training-runs?${asked}`).then((fresh) => {
    if (!table.contains(document.activeElement)) render(table, fresh, query);
  });
  repeat(looksAgain, REFRESH_MS, signal);
}

function filters(query) {
  const policy = h("input", { type: "search", value: query.get("policy") ?? "", autocomplete: "off" });
  const status = h("select", {}, h("option", { value: "" }, "Any"),
    STATUSES.map((one) => h("option", { value: one, selected: one === query.get("status") },
      one[0] + one.slice(1).toLowerCase())));
  function apply(event) {
    event.preventDefault();
    const chosen = new URLSearchParams();
    if (policy.value.trim()) chosen.set("policy", policy.value.trim());
    if (status.value) chosen.set("status", status.value);
    location.hash = `#/runs?${chosen}`;
  }
  return h("form", { class: "filters", onsubmit: apply, role: "search" },
    field("Policy", policy), field("Status", status), h("button", {}, "Filter"));
}

function render(place, page, query) {
  if (!page.runs.length) {
    const filtered = query.get("policy") || query.get("status");
    place.replaceChildren(filtered
      ? emptyCard("No run is like that", "No run has this policy and status.",
        h("a", { href: "#/runs" }, "Show all runs"))
      : emptyCard("No runs yet", "Drop a Unity build here, and it becomes a trained agent behind an API.",
        h("a", { class: "button primary", href: "#/new" }, "Start the first run")));
    return;
  }
  const more = new URLSearchParams(query);
  if (page.next_token) more.set("next_token", page.next_token);
  place.replaceChildren(
    h("form", { onsubmit: compareChosen },
      h("div", { class: "card table", role: "region", tabindex: "0", "aria-label": "Runs" }, h("table", {},
        h("thead", {}, h("tr", {},
          h("td", {}), ["Run", "Status", "State", "Decisions", "Mean return", "Begun"].map((name) =>
            h("th", { scope: "col" }, name)))),
        h("tbody", {}, page.runs.map(row)))),
      h("div", { class: "actions" }, h("button", {}, "Compare chosen"),
        query.get("next_token") ? h("a", { class: "button", href: "#/runs" }, "Newest") : null,
        page.next_token ? h("a", { class: "button", href: `#/runs?${more}` }, "Older runs") : null)));
}

function row(record) {
  return h("tr", {},
    h("td", {}, h("input", { type: "checkbox", name: "run", value: record.run_id,
      "aria-label": `Compare ${record.run_id}` })),
    h("th", { scope: "row" }, h("a", { href: `#/runs/${record.run_id}` }, record.run_id),
      h("span", { class: "muted" }, record.policy)),
    h("td", {}, statusBadge(record.status)),
    h("td", {}, words(record.state)),
    h("td", {}, progressBar(record)),
    h("td", { class: "number" }, number(record.evaluation?.mean_return ?? record.progress?.mean_return)),
    h("td", {}, h("time", { datetime: record.created_at, title: clock(record.created_at) }, ago(record.created_at))));
}

function compareChosen(event) {
  event.preventDefault();
  const chosen = new FormData(event.target).getAll("run");
  location.hash = `#/compare?runs=${chosen.join(",")}`;
}

