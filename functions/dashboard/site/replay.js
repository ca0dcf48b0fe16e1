/** The films of a run's evaluation: they play, or stand still where the system asks for little motion. */

import { control } from "./api.js";
import { h } from "./dom.js";
import { number } from "./format.js";
import { problemCard } from "./notices.js";

const SHOWN = {
  sketch: "as the build draws itself", camera: "as the agent sees it",
  chart: "as numbers, for the build has no camera and draws no sketch",
};

export const films = (artifacts) => Object.keys(artifacts ?? {}).filter((name) => name.endsWith(".replay.gif"));

/** Nothing, if there is nothing to watch. */
export function replayCard({ run_id: runId, artifacts }) {
  if (!films(artifacts).length) return null;
  const place = h("div", { class: "films" }, h("p", { class: "muted" }, "Loading…"));
  load(runId).then((shown) => place.replaceChildren(...shown),
    (error) => place.replaceChildren(problemCard(error)));
  return h("section", { class: "card", id: "replays" }, h("h2", {}, "Watch it play"), place);
}

async function load(runId) {
  const path = `/training-runs/${runId}`;
  const [report, links] = await Promise.all([control("GET", `${path}/report`), control("GET", `${path}/artifacts`)]);
  return report.replays.filter(({ film }) => links.artifacts[film])
    .map((replay) => film(replay, links.artifacts[replay.film]));
}

function film({ behavior, episodes, shows, width, height, decisions_per_frame: every }, address) {
  const returns = episodes.map((one) => number(one.episode_return)).join(", ");
  const told = `${episodes.length} ${episodes.length > 1 ? "episodes, with returns" : "episode, with the return"} `
    + `${returns}; ${SHOWN[shows]}.${every > 1 ? ` One picture for ${every} decisions.` : ""}`;
  const moving = h("img", { alt: `Film of ${behavior}: ${told}`, width, height, src: address });
  const still = h("canvas", { role: "img", "aria-label": `First picture of the film of ${behavior}: ${told}`, width, height });
  const button = h("button", { type: "button", onclick: () => play(moving.hidden) });
  function play(plays) {
    moving.hidden = !plays;
    still.hidden = plays;
    button.textContent = plays ? "Hold still" : "Play";
  }
  // Of a film, a canvas takes the first picture (HTML: "drawImage").
  moving.addEventListener("load", () => still.getContext("2d").drawImage(moving, 0, 0, width, height));
  moving.addEventListener("error", () => button.replaceWith(h("p", { class: "muted" }, "Its link has run out: load the page again.")));
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  return h("figure", {}, h("h3", {}, behavior), moving, still, h("figcaption", {}, told), button);
}
