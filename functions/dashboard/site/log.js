/** What a run's jobs print: the newest lines, and while it runs those that come, unless they are held still. */

import { control } from "./api.js";
import { h } from "./dom.js";
import { clock } from "./format.js";
import { problemCard } from "./notices.js";
import { repeat } from "./repeat.js";

const REFRESH_MS = 3000;
const AT_ONCE = 200;
const MOST_LINES = 1000; // that the page keeps; older ones go
const AT_THE_END_PX = 24;
const JOBS = [["", "The one that began last"], ["training", "Training"], ["evaluation", "Evaluation"]];
const NAMES = { training: "Training", evaluation: "Evaluation" };

/** The panel of the run at `path`; it reads until the run has ended and all its lines are there. */
export function logPanel(path, signal) {
  const panel = new LogPanel(path);
  panel.begin();
  repeat(() => panel.look(), REFRESH_MS, signal);
  return panel.element;
}

class LogPanel {
  constructor(path) {
    this.path = `${path}/logs?limit=${AT_ONCE}`;
    this.job = h("select", { id: "log-job", onchange: () => this.begin() },
      JOBS.map(([value, name]) => h("option", { value }, name)));
    this.hold = h("button", { type: "button", onclick: () => this.pause(!this.paused) }, "Pause");
    this.state = h("span", { class: "muted", id: "log-state" });
    // Not live for screen readers: a training prints faster than anybody listens. It is read line by line.
    this.lines = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Lines of the log", tabindex: "0" });
    this.place = h("div");
    this.element = h("section", { class: "card", id: "log" }, h("div", { class: "card-head" }, h("h2", {}, "Log"),
      h("label", { for: "log-job" }, "Job"), this.job, this.hold, this.state), this.place);
    this.paused = false;
  }

  /** Forgets what is shown, and reads the newest lines. */
  begin() {
    this.token = "";
    this.lastJob = null;
    this.ended = false;
    this.turn = (this.turn ?? 0) + 1;
    this.lines.replaceChildren();
    this.place.replaceChildren(h("p", { class: "muted" }, "Loading…"));
    return this.read().catch((error) => this.place.replaceChildren(problemCard(error)));
  }

  pause(paused) {
    this.paused = paused;
    this.tell();
    if (!paused) this.read().catch(() => {}); // the next look reads again
  }

  /** Another look; the panel may be asked for another job at any time, so there is always a next one. */
  async look() {
    if (!this.paused && !this.ended) await this.read();
  }

  async read() {
    const turn = this.turn;
    const token = this.token;
    const page = await control("GET", `${this.path}&${new URLSearchParams({
      ...(this.job.value && { job: this.job.value }), ...(token && { next_token: token }),
    })}`);
    if (turn !== this.turn || token !== this.token) return; // another job was chosen meanwhile, or somebody was faster
    this.status = page.status;
    this.token = page.next_token ?? "";
    this.ended = page.status !== "RUNNING" && !page.lines.length;
    this.add(page.lines);
    this.tell();
  }

  add(lines) {
    if (!this.lines.childElementCount && !lines.length) {
      this.place.replaceChildren(h("p", { class: "muted" }, this.status === "RUNNING"
        ? "Nothing was printed yet: the log begins with the job." : "Nothing was printed, or it is kept no longer."));
      return;
    }
    if (!this.place.contains(this.lines)) this.place.replaceChildren(this.lines);
    const { scrollHeight, scrollTop, clientHeight } = this.lines;
    const follows = scrollHeight - scrollTop - clientHeight < AT_THE_END_PX;
    for (const line of lines) this.lines.append(...this.shown(line));
    while (this.lines.childElementCount > MOST_LINES) this.lines.firstElementChild.remove();
    if (follows) this.lines.scrollTop = this.lines.scrollHeight;
  }

  shown({ at, job, text }) {
    const began = job !== this.lastJob;
    this.lastJob = job;
    return [
      began ? h("h3", {}, NAMES[job] ?? job) : null,
      h("p", {}, h("time", { datetime: at, title: clock(at) }, new Date(at).toLocaleTimeString("en-GB")), ` ${text}`),
    ].filter(Boolean);
  }

  tell() {
    const running = this.status === "RUNNING";
    this.hold.hidden = !running && !this.paused;
    this.hold.textContent = this.paused ? "Go on" : "Pause";
    this.state.textContent = this.paused ? "Held still" : running ? "Live" : this.ended ? "Complete" : "";
  }
}
