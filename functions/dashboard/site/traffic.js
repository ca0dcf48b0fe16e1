/** How often a policy is asked, what fails, how long its model takes. */

import { control } from "./api.js";
import { Chart } from "./charts.js";
import { h } from "./dom.js";
import { duration, number } from "./format.js";
import { emptyCard, problemCard } from "./notices.js";
import { repeat } from "./repeat.js";
import { facts } from "./run_cards.js";

const REFRESH_MS = 30000; // CloudWatch has the numbers of a minute when it is over
const WINDOWS = [["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"]];
const ERRORS = "Errors"; // drawn where there are any
const CHARTS = [
  ["Invocations", [["invocations", "invocations"]]],
  [ERRORS, [["errors_4xx", "refused (4xx)"], ["errors_5xx", "failed (5xx)"]]],
  ["Latency of the model, ms",
    [["latency_ms_mean", "mean"], ["latency_ms_p50", "median"], ["latency_ms_p99", "99 %"]]],
];

/** The card of the policy at `path`; `asleep`: its endpoint was taken down. */
export function trafficCard(path, asleep, signal) {
  const card = new TrafficCard(path, asleep, signal);
  card.begin();
  repeat(() => card.look(), REFRESH_MS, signal);
  return card.element;
}

class TrafficCard {
  constructor(path, asleep, signal) {
    this.path = `${path}/traffic`;
    this.asleep = asleep;
    this.window = h("select", { id: "traffic-window", onchange: () => this.begin() },
      WINDOWS.map(([value, name]) => h("option", { value }, name)));
    this.place = h("div");
    this.sums = h("div");
    const how = { time: true, over: "time", tick: (seconds) => this.tick(seconds) };
    this.charts = CHARTS.map(([title, columns]) => [new Chart(title, signal, how), columns]);
    this.shown = h("div", { class: "traffic" }, this.sums,
      h("div", { class: "charts" }, this.charts.map(([chart]) => chart.element)));
    this.element = h("section", { class: "card", id: "traffic" }, h("div", { class: "card-head" },
      h("h2", {}, "Traffic and latency"), h("label", { for: "traffic-window" }, "Window"), this.window), this.place);
  }

  begin() {
    return this.look().catch((error) => this.place.replaceChildren(problemCard(error)));
  }

  async look() {
    const asked = this.window.value;
    const told = await control("GET", `${this.path}?window=${asked}`);
    if (asked === this.window.value) this.show(told); // another one was chosen meanwhile
  }

  show({ total, columns, starts, period_seconds: period }) {
    if (!total.invocations) {
      this.place.replaceChildren(emptyCard("Nobody has asked", this.asleep
        ? "The policy is asleep; its numbers begin again once it is woken."
        : "In this time no prediction was asked for. What is asked now is told a minute later."));
      return;
    }
    this.sums.replaceChildren(facts([
      ["Asked", `${number(total.invocations)} times`], ["Refused (4xx)", number(total.errors_4xx)],
      ["Failed (5xx)", number(total.errors_5xx)],
    ]), h("p", { class: "hint" }, `By ${duration(period).replace(/ 0 (s|min)$/, "")}; the last one is not over yet.`));
    if (!this.place.contains(this.shown)) this.place.replaceChildren(this.shown);
    const x = starts.map((start) => new Date(start) / 1000);
    for (const [chart, names] of this.charts) {
      const lines = names.map(([name, label]) => ({ label, x, y: columns[name] ?? [] }))
        .filter((line) => line.y.some((value) => value !== null));
      chart.element.hidden = chart.title === ERRORS ? !(total.errors_4xx + total.errors_5xx) : !lines.length;
      chart.show(lines);
    }
  }

  /** A moment below the chart: its hour, or its day. */
  tick(seconds) {
    const moment = new Date(seconds * 1000);
    return this.window.value === "7d" && moment.getHours() + moment.getMinutes() === 0
      ? moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" })
      : moment.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  }
}
