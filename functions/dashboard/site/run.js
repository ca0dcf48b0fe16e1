/** One run: what it does now, how it learns, what it costs, what it made. */

import { control } from "./api.js";
import { Charts } from "./charts.js";
import { announce, h, refresh } from "./dom.js";
import { ago, clock, number, words } from "./format.js";
import { logPanel } from "./log.js";
import { machinePicture } from "./machine.js";
import { act, confirm, emptyCard, problemCard } from "./notices.js";
import { repeat } from "./repeat.js";
import { films, replayCard } from "./replay.js";
import { artifactsCard, configurationCard, costCard, reportCard } from "./run_cards.js";
import { progressBar, statusBadge } from "./runs.js";

const REFRESH_MS = 4000;

export async function runPage(place, [runId], _, signal) {
  const path = `/training-runs/${encodeURIComponent(runId)}`;
  let record = await control("GET", path);
  const view = frame(runId, path, signal);
  place.replaceChildren(...view.elements);

  async function look() {
    if (record.status === "RUNNING" || record.cleanup_pending) {
      const before = record.status;
      record = await control("GET", path);
      if (record.status !== before) announce(`The run has ended: ${record.status}`);
    }
    showRecord(view, record, look);
    await showCurves(view, path);
    return record.status === "RUNNING" || Boolean(record.cleanup_pending);
  }
  showRecord(view, record, look);
  await showCurves(view, path).catch((error) => view.charts.replaceChildren(problemCard(error)));
  if (record.status === "RUNNING" || record.cleanup_pending) repeat(look, REFRESH_MS, signal);
}

function frame(runId, path, signal) {
  const view = {
    head: h("div"), problems: h("div"), outcome: h("div"), machine: h("div"), history: h("div"),
    curves: new Charts(signal), charts: h("div"), cost: h("div"), configuration: h("div"), report: h("div"),
    artifacts: h("div"), replay: h("div"),
  };
  view.elements = [
    h("div", { class: "title" }, h("h1", {}, runId), view.head), view.problems, view.outcome,
    h("section", { class: "card" }, h("h2", {}, "Where it is"), view.machine, view.history),
    h("section", {}, h("h2", {}, "How it learns"), view.charts, view.curves.element), view.replay, logPanel(path, signal),
    h("div", { class: "columns" }, view.cost, view.report, view.artifacts), view.configuration,
  ];
  return view;
}

function showRecord(view, record, look) {
  const { status, state, history, failure } = record;
  refresh(view.head, { status, policy: record.policy, cleanup: record.cleanup_pending, progress: record.progress },
    () => heading(view, record, look));
  refresh(view.outcome, { failure, promotion: record.promotion, notes: record.notes }, () => outcome(record));
  refresh(view.machine, { status, state, history, failure }, () => machinePicture(record));
  refresh(view.history, history, () => timeline(record));
  const { estimate, training_job: training, evaluation_job: evaluation } = record;
  refresh(view.cost, { estimate, training, evaluation, tick: status === "RUNNING" ? Date.now() : 0 },
    () => costCard(record));
  refresh(view.configuration, record.options, () => configurationCard(record));
  refresh(view.report, record.evaluation ?? null, () => reportCard(record));
  refresh(view.replay, films(record.artifacts), () => replayCard(record));
  refresh(view.artifacts, record.artifacts, () => artifactsCard(record));
}

function heading(view, record, look) {
  const path = `/training-runs/${record.run_id}`;
  const cancel = h("button", { type: "button", class: "danger", onclick: async () => {
    const sure = await confirm({ title: `Cancel ${record.run_id}?`, action: "Cancel the run",
      text: "Its job is stopped, and what it has deployed is taken back. It can be redriven later." });
    if (sure) await act(cancel, view.problems, async () => { await control("DELETE", path); await look(); });
  } }, "Cancel");
  const redrive = h("button", { type: "button", onclick: () => act(redrive, view.problems, async () => {
    await control("POST", `${path}/redrive`);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  }) }, "Redrive");
  return h("div", { class: "actions" }, statusBadge(record.status),
    h("a", { href: `#/policies/${record.policy}` }, record.policy),
    record.cleanup_pending ? h("span", { class: "muted" }, "cleaning up…") : null,
    record.status === "RUNNING" ? progressBar(record) : null,
    record.status === "RUNNING" ? cancel : null,
    ["FAILED", "CANCELLED"].includes(record.status) && !record.cleanup_pending ? redrive : null,
    record.serves ? null : h("a", { class: "button", href: `#/new?from=${record.run_id}` }, "Train again with changes"),
    h("a", { class: "button", href: `#/compare?runs=${record.run_id}` }, "Compare"));
}

function outcome({ failure, promotion, notes }) {
  const shown = [];
  if (failure) {
    shown.push(h("section", { class: "card problem" },
      h("h2", {}, `Failed at ${words(failure.state)}`, h("code", {}, failure.code)), h("p", {}, failure.cause),
      h("p", { class: "remedy" }, h("strong", {}, "What to do: "), failure.remedy)));
  }
  if (promotion) {
    shown.push(h("section", { class: `card ${promotion.promote ? "good" : "kept"}` },
      h("h2", {}, promotion.promote ? "Goes into service" : "Held back"),
      h("ul", {}, promotion.reasons.map((reason) => h("li", {}, reason)))));
  }
  if (notes?.length) {
    shown.push(h("details", { class: "card", id: "notes" }, h("summary", {}, `${notes.length} notes on its settings`),
      h("pre", { tabindex: "0" }, JSON.stringify(notes, null, 2))));
  }
  return shown;
}

function timeline({ history }) {
  if (!history?.length) return emptyCard("Not begun", "The first state has not been entered yet.");
  return h("details", { id: "history" }, h("summary", {}, `Log of its ${history.length} states`),
    h("ol", { class: "timeline" }, history.map((entry, index) => h("li", {},
      h("time", { datetime: entry.at, title: ago(entry.at) }, clock(entry.at)), ` ${words(entry.state)}`,
      index ? h("span", { class: "muted" },
        ` after ${number((new Date(entry.at) - new Date(history[index - 1].at)) / 1000)} s`) : null))));
}

async function showCurves(view, path) {
  const { behaviors } = await control("GET", `${path}/metrics?points=400`);
  const sources = behaviors.map(({ behavior, columns }) => ({ label: behavior, columns }));
  const anything = view.curves.show(sources);
  refresh(view.charts, anything, () => (anything ? null
    : emptyCard("Nothing learned yet", "The curves begin with the training's first iteration.")));
}
