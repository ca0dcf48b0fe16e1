/** Elements without markup in strings: what the API tells is only ever text. */

const SVG = "http://www.w3.org/2000/svg";

/** An element; attributes that are null, undefined or false are left out, `on…` ones are listeners. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same, of a picture. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" && tagHasValue(element)) element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const tagHasValue = (element) => ["INPUT", "TEXTAREA"].includes(element.tagName);

/** A labelled control of a form; `hint` is read with it. */
export function field(label, control, hint = "") {
  const id = control.id || `field-${label.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, label), control,
    hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null);
}

/** Tells a screen reader. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Replaces what is in `place` when `data` is another than the last time, so that a refresh moves no focus. */
export function refresh(place, data, render) {
  const key = JSON.stringify(data);
  if (place.shown === key) return;
  place.shown = key;
  const open = new Set([...place.querySelectorAll("details[open]")].map((one) => one.id));
  place.replaceChildren(...[render(data)].flat().filter(Boolean));
  for (const one of place.querySelectorAll("details")) if (open.has(one.id)) one.open = true;
}
