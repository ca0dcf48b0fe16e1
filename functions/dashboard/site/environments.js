/** Environments of a registry that were mirrored: what there is to train on without an upload. */

import { control } from "./api.js";
import { h } from "./dom.js";
import { ago, bytes, clock, number } from "./format.js";
import { act, confirm, emptyCard } from "./notices.js";
import { facts } from "./run_cards.js";

export async function environmentsPage(place) {
  const { environments } = await control("GET", "/registry");
  const problems = h("div");
  place.replaceChildren(h("h1", {}, "Environments"), problems, environments.length
    ? h("ul", { class: "tiles" }, environments.map((one) => tile(one, problems, () => environmentsPage(place))))
    : emptyCard("No environment is mirrored", "ML-Agents keeps its example environments in a registry. The command "
      + "gamedojo registry mirror 3DBall copies one to here, once; then runs name it by its id."));
}

function tile(one, problems, again) {
  const id = encodeURIComponent(one.environment);
  const remove = h("button", { type: "button", class: "danger", "aria-label": `Delete ${one.environment}`,
    onclick: async () => {
      const sure = await confirm({ title: `Delete ${one.environment}?`, action: "Delete",
        text: "Its zip goes, and no new run can name it until it is mirrored again. Runs keep copies of their own." });
      if (!sure) return;
      await act(remove, problems, async () => {
        await control("DELETE", `/registry/${id}`);
        await again();
      });
    } }, "Delete");
  return h("li", { class: "card" }, h("h2", {}, one.environment), facts([
    ["Size", bytes(one.size_bytes)],
    one.expected_return === null || one.expected_return === undefined ? null : ["Solved at", number(one.expected_return)],
    ["Mirrored", h("time", { datetime: one.mirrored_at, title: clock(one.mirrored_at) }, ago(one.mirrored_at))],
    ["From", one.source],
    ["SHA-256", h("code", { title: one.sha256 }, `${one.sha256.slice(0, 12)}…`)],
    one.arguments?.length ? ["Started with", h("code", {}, one.arguments.join(" "))] : null,
  ]), h("div", { class: "actions" },
    h("a", { class: "button primary", href: `#/new?registry=${id}`, "aria-label": `Train on ${one.environment}` }, "Train"),
    remove));
}
