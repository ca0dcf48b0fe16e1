/** The curves of several runs in the same charts. */

import { control } from "./api.js";
import { Charts } from "./charts.js";
import { h } from "./dom.js";
import { number } from "./format.js";
import { emptyCard, problemCard } from "./notices.js";
import { statusBadge } from "./runs.js";

const AT_MOST = 6;

export async function comparePage(place, _, query, signal) {
  const chosen = (query.get("runs") ?? "").split(",").filter(Boolean).slice(0, AT_MOST);
  const { runs } = await control("GET", "/training-runs?limit=50");
  place.replaceChildren(h("h1", {}, "Compare runs"), chooser(runs, chosen));
  if (!chosen.length) {
    place.append(emptyCard("Nothing chosen", `Choose up to ${AT_MOST} runs to see their curves side by side.`));
    return;
  }
  const path = (runId) => `/training-runs/${encodeURIComponent(runId)}`;
  const told = await Promise.allSettled(chosen.map(async (runId) =>
    Promise.all([control("GET", path(runId)), control("GET", `${path(runId)}/metrics?points=400`)])));
  const known = told.filter((one) => one.status === "fulfilled").map((one) => one.value);
  place.append(...told.filter((one) => one.status === "rejected").map((one) => problemCard(one.reason)), table(known));
  const charts = new Charts(signal);
  place.append(h("h2", { class: "visually-hidden" }, "Curves"), charts.element);
  const anything = charts.show(known.flatMap(([record, { behaviors }]) => behaviors.map(({ behavior, columns }) => ({
    label: behaviors.length > 1 ? `${record.run_id} ${behavior}` : record.run_id, columns,
  }))));
  if (!anything) place.append(emptyCard("No curves yet", "None of these runs has told of an iteration."));
}

function chooser(runs, chosen) {
  const choice = ({ run_id: runId }) => h("label", { class: "choice" },
    h("input", { type: "checkbox", name: "run", value: runId, checked: chosen.includes(runId) }), ` ${runId}`);
  function apply(event) {
    event.preventDefault();
    location.hash = `#/compare?runs=${new FormData(event.target).getAll("run").join(",")}`;
  }
  return h("form", { class: "card", onsubmit: apply },
    h("fieldset", { class: "choices" }, h("legend", {}, `Runs, up to ${AT_MOST}`), runs.map(choice)),
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Compare")));
}

function table(known) {
  return h("div", { class: "card table", role: "region", tabindex: "0", "aria-label": "Results" }, h("table", {},
    h("thead", {}, h("tr", {}, ["Run", "Status", "Mean return", "Decisions", "Seed"].map((name) =>
      h("th", { scope: "col" }, name)))),
    h("tbody", {}, known.map(([record]) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: `#/runs/${record.run_id}` }, record.run_id)),
      h("td", {}, statusBadge(record.status)),
      h("td", { class: "number" }, number(record.evaluation?.mean_return ?? record.progress?.mean_return)),
      h("td", { class: "number" }, number(record.progress?.env_steps)),
      h("td", { class: "number" }, String(record.options.seed ?? "–")))))));
}
