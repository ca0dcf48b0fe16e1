/** One policy: what it observes and does, trying it, its traffic, what was in service before, and taking it out of service. */

import { control } from "./api.js";
import { h } from "./dom.js";
import { ago, clock } from "./format.js";
import { act, confirm } from "./notices.js";
import { serviceBadge } from "./policies.js";
import { facts } from "./run_cards.js";
import { trafficCard } from "./traffic.js";
import { tryIt } from "./try_it.js";

export async function policyPage(place, [policy], _, signal) {
  const path = `/policies/${encodeURIComponent(policy)}`;
  const [described, past] = await Promise.all([control("GET", path), control("GET", `${path}/history`)]);
  const problems = h("div");
  place.replaceChildren(
    h("div", { class: "title" }, h("h1", {}, policy), buttons(described, path, problems)), problems,
    h("section", { class: "card" }, h("h2", {}, "In service"), facts([
      ["Version", h("a", { href: `#/runs/${described.version}` }, described.version)],
      ["Endpoint", h("code", {}, described.endpoint_name)],
    ])),
    ...described.spec.behaviors.map(behaviorCard), await tryIt(described),
    trafficCard(path, described.asleep, signal), historyCard(described, past, path, problems));
}

const follow = (record) => { location.hash = `#/runs/${record.run_id}`; };

function buttons(described, path, problems) {
  const wake = h("button", { type: "button", class: "primary", onclick: () =>
    act(wake, problems, async () => follow(await control("POST", `${path}/wake`))) }, "Wake");
  const remove = h("button", { type: "button", class: "danger", onclick: async () => {
    const sure = await confirm({
      title: `Delete ${described.policy}?`, action: `Delete ${described.policy}`, typed: described.policy,
      text: "Its endpoint, models and files go, and no version of it can be rolled back to. Its runs stay. "
        + "This cannot be undone.",
    });
    if (!sure) return;
    await act(remove, problems, async () => {
      await control("DELETE", path);
      location.hash = "#/policies";
    });
  } }, "Delete");
  return h("div", { class: "actions" },
    serviceBadge(described), described.asleep ? wake : null, remove);
}

function behaviorCard({ name, observations, actions, memory_size: memory }) {
  const { continuous_size: continuous, discrete_branches: branches } = actions;
  return h("section", { class: "card" }, h("h2", {}, `Behavior ${name}`), facts([
    ...observations.map((one) => [one.name, `${one.shape.join(" × ")} numbers`]),
    ["Actions", [continuous ? `${continuous} continuous` : "",
      branches?.length ? `discrete, of ${branches.join(", ")} choices` : ""].filter(Boolean).join("; ")],
    memory ? ["Memory", `${memory} numbers`] : null,
  ]));
}

function historyCard(described, { versions }, path, problems) {
  const item = (entry, index) => {
    const back = h("button", { type: "button", "aria-label": `Roll back to ${entry.version}`, onclick: async () => {
      const sure = await confirm({ title: `Roll back ${described.policy}?`, action: "Roll back",
        text: `${entry.version} is deployed and verified again, and takes the place of ${described.version}.` });
      if (sure) {
        await act(back, problems, async () =>
          follow(await control("POST", `${path}/rollback`, { version: entry.version })));
      }
    } }, "Roll back");
    return h("li", {}, h("a", { href: `#/runs/${entry.run_id}` }, entry.version),
      h("time", { datetime: entry.at, title: clock(entry.at), class: "muted" }, ago(entry.at)),
      entry.version === described.version
        ? index === 0 ? h("span", { class: "badge succeeded" }, "Now") : null : back);
  };
  return h("section", { class: "card" }, h("h2", {}, "History"), h("ol", { class: "versions" }, versions.map(item)));
}
