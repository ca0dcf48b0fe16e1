/** What is in service. */

import { control } from "./api.js";
import { h } from "./dom.js";
import { emptyCard } from "./notices.js";

/** Whether its endpoint answers, or has to be woken first. */
export const serviceBadge = ({ asleep }) =>
  h("span", { class: `badge ${asleep ? "cancelled" : "succeeded"}` }, asleep ? "Asleep" : "In service");

export async function policiesPage(place) {
  const { policies } = await control("GET", "/policies");
  place.replaceChildren(h("h1", {}, "Policies"), policies.length
    ? h("ul", { class: "tiles" }, policies.map((one) => h("li", { class: "card" },
      h("h2", {}, h("a", { href: `#/policies/${one.policy}` }, one.policy)),
      h("p", {}, serviceBadge(one)),
      h("p", { class: "muted" }, "Version ", h("a", { href: `#/runs/${one.version}` }, one.version)))))
    : emptyCard("No policy is in service", "A run that passes its evaluation brings one here.",
      h("a", { class: "button primary", href: "#/new" }, "Start a run")));
}
