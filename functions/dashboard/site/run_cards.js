/** What a run's page tells beside its curves: cost, report, artifacts, configuration. */

import { control } from "./api.js";
import { h } from "./dom.js";
import { duration, number, usd } from "./format.js";
import { act } from "./notices.js";

/** The pairs of a description list. */
export const facts = (pairs) =>
  h("dl", {}, pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

export function costCard({ estimate, training_job: training, evaluation_job: evaluation }) {
  const card = h("section", { class: "card" }, h("h2", {}, "Cost"));
  if (!estimate) {
    card.append(h("p", { class: "muted" }, "Known once the build was inspected."));
    return card;
  }
  const jobs = [["Training", estimate.training, training], ["Evaluation", estimate.evaluation, evaluation]];
  const spent = jobs.map(([, cost, job]) => soFar(cost, job));
  card.append(facts([
    ["So far", spent.includes(null) ? "not known" : `about ${usd(spent[0] + spent[1])}`],
    ["At most", usd(estimate.max_usd)],
    ...jobs.map(([name, cost, job]) => [name,
      `${cost.instance_count} × ${cost.instance_type}${cost.spot ? ", spot" : ""}, `
      + `${job?.started_at ? duration(seconds(job)) : "not begun"} of at most ${duration(cost.max_seconds)}`]),
  ]), h("p", { class: "hint" }, `List prices: ${estimate.prices}. Spot instances cost less.`));
  return card;
}

const seconds = (job) => ((job.ended_at ? new Date(job.ended_at) : Date.now()) - new Date(job.started_at)) / 1000;

function soFar(cost, job) {
  if (!job?.started_at) return 0;
  if (cost.usd_per_hour === null || cost.usd_per_hour === undefined) return null;
  return (seconds(job) / 3600) * cost.instance_count * cost.usd_per_hour;
}

export function reportCard({ run_id: runId, evaluation }) {
  const card = h("section", { class: "card" }, h("h2", {}, "Evaluation"));
  if (!evaluation) {
    card.append(h("p", { class: "muted" }, "The trained policy has not been played yet."));
    return card;
  }
  const place = h("div");
  const button = h("button", { type: "button", onclick: () => act(button, place, async () => {
    const report = await control("GET", `/training-runs/${runId}/report`);
    place.replaceChildren(...report.behaviors.map(behaviorReport),
      ...(report.warnings ?? []).map((one) => h("p", { class: "remedy" }, one.cause ?? JSON.stringify(one))));
  }) }, "Show the report");
  card.append(facts([
    ["Mean return", number(evaluation.mean_return)],
    ["95 % interval", `${number(evaluation.ci95_low)} to ${number(evaluation.ci95_high)}`],
    ["Episodes", number(evaluation.episodes)],
  ]), ...(evaluation.warnings ?? []).map(({ code, cause }) => h("p", { class: "remedy" }, h("code", {}, code), ` ${cause}`)),
  place, button);
  return card;
}

function behaviorReport({ behavior, deterministic, stochastic }) {
  const plays = [["Likeliest actions", deterministic], ["Sampled actions", stochastic]].filter(([, one]) => one);
  return h("details", { open: true }, h("summary", {}, behavior), ...plays.map(([name, play]) => h("div", {},
    h("h3", {}, name), h("pre", { tabindex: "0", "aria-label": `${name} of ${behavior}` },
      JSON.stringify(play, null, 1)))));
}

export function artifactsCard({ run_id: runId, artifacts }) {
  const card = h("section", { class: "card" }, h("h2", {}, "Artifacts"));
  if (!Object.keys(artifacts ?? {}).length) {
    card.append(h("p", { class: "muted" }, "Nothing was made yet."));
    return card;
  }
  const place = h("div");
  const button = h("button", { type: "button", onclick: () => act(button, place, async () => {
    const links = await control("GET", `/training-runs/${runId}/artifacts`);
    place.replaceChildren(
      h("ul", { class: "files" }, Object.entries(links.artifacts).map(([name, url]) =>
        h("li", {}, h("a", { href: url, download: true, rel: "noreferrer" }, name)))),
      h("p", { class: "hint" }, `The links hold for ${duration(links.expires_in_seconds)}.`));
    button.textContent = "Fresh links";
  }) }, "Get links");
  card.append(h("p", {}, Object.keys(artifacts).join(", ")), place, button);
  return card;
}

/** The request that would train the same again: the run's options without what was not said. */
export const requestOf = (record) => ({
  build: { key: record.source_key }, policy: record.policy, ...withoutNulls(record.options),
});

function withoutNulls(value) {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([, one]) => one !== null).map(([name, one]) => [name, withoutNulls(one)]);
  return Object.fromEntries(kept.filter(([, one]) => !isEmptyObject(one)));
}

const isEmptyObject = (value) =>
  typeof value === "object" && !Array.isArray(value) && Object.keys(value).length === 0;

export function configurationCard(record) {
  return h("section", { class: "card" }, h("h2", {}, "Configuration"), facts([
    ["Algorithm", record.options.algorithm ?? "PPO"], ["Seed", String(record.options.seed ?? "–")],
    ["Build", h("code", {}, record.source_key)],
    record.serves ? ["Brings back", h("a", { href: `#/runs/${record.serves}` }, record.serves)] : null,
  ]), h("details", { id: "request" }, h("summary", {}, "As a request"),
    h("pre", { tabindex: "0", "aria-label": "The run as a request" }, JSON.stringify(requestOf(record), null, 2))));
}
