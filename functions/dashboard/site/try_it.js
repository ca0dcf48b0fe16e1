/** A form made from what a policy observes: numbers in, actions out, and how long it took. */

import { knownPredictUrl, predict } from "./api.js";
import { announce, field, h } from "./dom.js";
import { number } from "./format.js";
import { act } from "./notices.js";
import { predictKey, predictUrl } from "./session.js";

/** Up to so many numbers have an input each; up to so many are JSON; more are sent as bytes, all of one value. */
const INPUTS = 40;
const AS_JSON = 2000;

export async function tryIt({ policy, spec }) {
  if (!predictUrl.get()) predictUrl.set(await knownPredictUrl());
  const place = h("div");
  const render = (behavior) => place.replaceChildren(new Trial(policy, behavior, spec.behaviors.length > 1).form);
  const choice = h("select", { onchange: () => render(spec.behaviors[choice.selectedIndex]) },
    spec.behaviors.map((one) => h("option", {}, one.name)));
  render(spec.behaviors[0]);
  return h("section", { class: "card", id: "try-it" }, h("h2", {}, "Try it"),
    spec.behaviors.length > 1 ? field("Behavior", choice) : null, place);
}

class Trial {
  constructor(policy, behavior, named) {
    Object.assign(this, { policy, behavior, named, memory: null });
    this.sensors = behavior.observations.map(sensorForm);
    this.key = h("input", { type: "password", autocomplete: "off", value: predictKey.get(), required: true });
    this.url = h("input", { type: "url", value: predictUrl.get(), required: true });
    this.deterministic = h("input", { type: "checkbox", checked: true, id: "deterministic" });
    this.problems = h("div");
    this.result = h("output", { class: "result" });
    this.button = h("button", { class: "primary", type: "submit" }, "Ask for an action");
    const filler = (label, value) => h("button", { type: "button", onclick: () =>
      this.sensors.forEach((sensor) => sensor.fill(value)) }, label);
    this.form = h("form", { onsubmit: (event) => this.ask(event) },
      h("div", { class: "fields" },
        field("Key of the predict API", this.key, "It is another one than this page's."),
        field("Address of the predict API", this.url)),
      this.sensors.map((sensor) => sensor.element),
      h("div", { class: "check" }, this.deterministic, h("label", { for: "deterministic" }, "The likeliest action")),
      h("div", { class: "actions" }, this.button, filler("Zeros", () => 0),
        filler("Random", () => Number(Math.random().toFixed(3))),
        behavior.memory_size ? h("button", { type: "button", onclick: () => { this.memory = null; } }, "Forget") : null),
      this.problems, this.result);
  }

  ask(event) {
    event.preventDefault();
    predictKey.set(this.key.value.trim());
    predictUrl.set(this.url.value.trim().replace(/\/$/, ""));
    this.result.replaceChildren();
    return act(this.button, this.problems, async () => {
      const [answer, milliseconds] = await predict(this.policy, {
        ...(this.named ? { behavior: this.behavior.name } : {}),
        observations: Object.fromEntries(this.sensors.map((sensor) => [sensor.name, sensor.value()])),
        deterministic: this.deterministic.checked,
        ...(this.behavior.memory_size ? { state: this.memory } : {}),
      });
      this.memory = answer.state ?? null;
      this.show(answer.action ?? answer.actions[0], milliseconds);
    });
  }

  show({ continuous = [], discrete = [] }, milliseconds) {
    const { discrete_branches: branches = [] } = this.behavior.actions;
    this.result.replaceChildren(
      h("ul", { class: "answer" },
        discrete.map((choice, index) => h("li", {}, `Branch ${index + 1}: `, h("strong", {}, String(choice)),
          h("span", { class: "muted" }, ` of 0 to ${branches[index] - 1}`))),
        continuous.map((value, index) => h("li", {}, `Action ${index + 1}: `, h("strong", {}, number(value))))),
      h("p", { class: "muted" }, `Answered in ${Math.round(milliseconds)} ms.`));
    announce(`Action ${[...discrete, ...continuous.map((value) => number(value))].join(", ")}`);
  }
}

function sensorForm({ name, shape }) {
  const size = shape.reduce((product, one) => product * one, 1);
  if (shape.length === 1 && size <= INPUTS) return numbersForm(name, size);
  return size <= AS_JSON ? jsonForm(name, shape) : flatForm(name, shape, size);
}

function numbersForm(name, size) {
  const inputs = Array.from({ length: size }, (_, index) =>
    h("input", { type: "number", step: "any", value: "0", required: true,
      "aria-label": `${name}, number ${index + 1}` }));
  return { name,
    element: h("fieldset", {}, h("legend", {}, name), h("div", { class: "numbers" }, inputs)),
    value: () => inputs.map((input) => Number(input.value)),
    fill: (value) => inputs.forEach((input) => { input.value = String(value()); }) };
}

function jsonForm(name, shape) {
  const nested = (value, [length, ...inner]) =>
    Array.from({ length }, () => (inner.length ? nested(value, inner) : value()));
  const text = h("textarea", { rows: 4, spellcheck: "false", value: JSON.stringify(nested(() => 0, shape)) });
  return { name,
    element: field(name, text, `JSON of the shape ${shape.join(" × ")}`),
    value: () => JSON.parse(text.value),
    fill: (value) => { text.value = JSON.stringify(nested(value, shape)); } };
}

function flatForm(name, shape, size) {
  const input = h("input", { type: "number", min: 0, max: 1, step: "any", value: "0", required: true });
  return { name,
    element: field(name, input, `${shape.join(" × ")} numbers, all of this value`),
    value: () => ({ dtype: "uint8", shape, divisor: 255,
      data: btoa(String.fromCharCode(Math.round(Number(input.value) * 255)).repeat(size)) }),
    fill: (value) => { input.value = String(value()); } };
}
