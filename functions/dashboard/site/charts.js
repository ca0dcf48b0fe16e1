/** Curves over decisions or over time, drawn by uPlot; each chart's numbers are told to a screen reader as a sentence. */

/* global uPlot */

import { h } from "./dom.js";
import { compact, number } from "./format.js";

/** What a training tells, in the order of interest; a chart is drawn for what it did tell. */
export const CHARTS = [
  ["mean_return", "Return", ["mean_return"]],
  ["mean_episode_length", "Episode length", ["mean_episode_length"]],
  ["losses", "Losses", ["policy_loss", "vf_loss", "q1_loss", "q2_loss", "baseline_loss", "curiosity_loss", "cloning_loss"]],
  ["entropy", "Entropy", ["entropy"]],
  ["env_steps_per_second", "Decisions a second", ["env_steps_per_second"]],
  ["elo", "ELO", ["elo"]],
];

const HEIGHT = 190;
const dark = matchMedia("(prefers-color-scheme: dark)");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * One chart of several lines: `lines` of {label, x, y}, x ascending.
 *
 * Of a chart over `time`, x is in seconds since 1970, and where y is null the line has a gap.
 */
export class Chart {
  constructor(title, signal, { time = false, over = "decisions", tick = compact } = {}) {
    Object.assign(this, { time, over, tick });
    this.value = h("span", { class: "chart-value" });
    this.plotPlace = h("div", { class: "plot", role: "img" });
    this.legend = h("ul", { class: "legend" });
    this.title = title;
    this.element = h("figure", { class: "card chart" },
      h("figcaption", {}, h("h3", {}, title), this.value), this.plotPlace, this.legend);
    this.lines = [];
    new ResizeObserver(() => this.fit()).observe(this.plotPlace);
    dark.addEventListener("change", () => this.draw(true), { signal });
  }

  show(lines) {
    this.lines = lines;
    this.draw(false);
  }

  draw(anew) {
    if (!this.lines.length) return;
    const data = joined(this.lines);
    const labels = JSON.stringify(this.lines.map((line) => line.label));
    if (this.plot && (anew || labels !== this.labels)) {
      this.plot.destroy();
      this.plot = null;
    }
    this.labels = labels;
    if (this.plot) this.plot.setData(data);
    else this.plot = new uPlot(this.options(), data, this.plotPlace);
    this.describe();
  }

  options() {
    const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 },
      ticks: { stroke: color("--line"), width: 1 }, font: "12px system-ui" };
    return {
      width: Math.max(200, this.plotPlace.clientWidth), height: HEIGHT, legend: { show: false },
      scales: { x: { time: this.time } }, cursor: { y: false },
      axes: [{ ...axis, values: (_, ticks) => ticks.map(this.tick) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick))) }],
      series: [{}, ...this.lines.map((line, index) => ({
        label: line.label, stroke: color(`--series-${(index % 6) + 1}`), width: 2, spanGaps: !this.time,
        points: this.time ? { show: true, filter: (plot, n) => alone(plot.data[n]) } : { show: line.y.length < 3 },
      }))],
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
    };
  }

  /** The values under the cursor, or the last ones. */
  tell(index) {
    const data = this.plot?.data ?? joined(this.lines);
    const at = index ?? data[0].length - 1;
    const values = this.lines.map((_, line) => (index === null || index === undefined
      ? number(last(this.lines[line].y)) : number(data[line + 1][at])));
    this.value.textContent = this.lines.length === 1 ? values[0] : "";
    this.legend.replaceChildren(...(this.lines.length === 1 ? [] : this.lines.map((line, n) =>
      h("li", { class: `series-${(n % 6) + 1}` }, `${line.label} ${values[n]}`))));
  }

  describe() {
    this.tell(null);
    const told = this.lines.map((line) => {
      const known = line.y.filter((value) => value !== null && value !== undefined);
      return `${line.label}: from ${number(known[0])} to ${number(last(known))}, `
        + `between ${number(Math.min(...known))} and ${number(Math.max(...known))}`;
    });
    this.plotPlace.setAttribute("aria-label", `${this.title} over ${this.over}. ${told.join(". ")}.`);
  }

  fit() {
    const width = this.plotPlace.clientWidth;
    if (this.plot && width && Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: HEIGHT });
  }
}

/** A grid of charts that appear once there is something in them. */
export class Charts {
  constructor(signal) {
    this.element = h("div", { class: "charts" });
    this.signal = signal;
    this.charts = new Map();
  }

  /** `sources` of {label, columns}: the metrics of a behavior of a run. Returns whether there is anything. */
  show(sources) {
    for (const [id, title, names] of CHARTS) {
      const lines = sources.flatMap(({ label, columns }) => names.filter((name) => hasValues(columns[name]))
        .map((name) => ({
          label: lineLabel(label, name, names, sources.length), x: columns.env_steps, y: columns[name],
        })));
      if (!lines.length) continue;
      if (!this.charts.has(id)) {
        this.charts.set(id, new Chart(title, this.signal));
        this.element.append(this.charts.get(id).element);
      }
      this.charts.get(id).show(lines);
    }
    return this.charts.size > 0;
  }
}

const hasValues = (column) => column?.some((value) => value !== null);
/** Indices of the values that no line leads to, which a point has to show. */
const alone = (values) => values.flatMap((value, n) =>
  (value !== null && (values[n - 1] ?? null) === null && (values[n + 1] ?? null) === null ? [n] : []));
const last = (values) => values.filter((value) => value !== null && value !== undefined).at(-1);

function lineLabel(source, name, names, sources) {
  const metric = name.replaceAll("_", " ");
  if (sources === 1) return metric;
  return names.length === 1 ? source : `${source} ${metric}`;
}

function joined(lines) {
  const tables = lines.map((line) => [line.x, line.y.map((value) => value ?? null)]);
  return tables.length === 1 ? tables[0] : uPlot.join(tables);
}
