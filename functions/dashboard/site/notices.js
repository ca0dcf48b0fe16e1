/** What is shown when something is wrong, missing, or about to be done for good. */

import { ApiError } from "./api.js";
import { announce, h } from "./dom.js";

/** A problem document, with its remedy. */
export function problemCard(error) {
  const problem = error instanceof ApiError ? error.problem
    : { title: "This page failed", code: "Page", detail: String(error), remedy: "Load it again." };
  return h("section", { class: "card problem", role: "alert" },
    h("h2", {}, `${problem.title ?? "Problem"}`, h("code", {}, problem.code ?? "")),
    h("p", {}, problem.detail),
    problem.errors?.length
      ? h("ul", {}, problem.errors.map((one) => h("li", {}, h("code", {}, one.field || "document"), ` ${one.message}`)))
      : null,
    problem.remedy ? h("p", { class: "remedy" }, h("strong", {}, "What to do: "), problem.remedy) : null);
}

export function emptyCard(title, text, ...actions) {
  return h("section", { class: "card empty" }, h("h2", {}, title), h("p", {}, text), ...actions);
}

/** Asks before something is done; `typed` must be typed first, when it cannot be undone. Resolves to true or false. */
export function confirm({ title, text, action, typed = "" }) {
  const opener = document.activeElement;
  const go = h("button", { type: "submit", class: "danger", value: "go", disabled: Boolean(typed) }, action);
  const input = typed && h("input", {
    id: "confirm-name", autocomplete: "off", spellcheck: "false",
    oninput: (event) => { go.disabled = event.target.value !== typed; },
  });
  const dialog = h("dialog", { "aria-labelledby": "confirm-title" },
    h("form", { method: "dialog", onsubmit: (event) => { if (go.disabled) event.preventDefault(); } },
      h("h2", { id: "confirm-title" }, title), h("p", {}, text),
      input ? h("div", { class: "field" }, h("label", { for: "confirm-name" }, `Type ${typed} to go on`), input) : null,
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => dialog.close("") }, "Back"), go)));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    opener?.focus?.();
    resolve(dialog.returnValue === "go");
  }));
}

/** Does it while the button is busy; what goes wrong is shown in `place`. */
export async function act(button, place, work) {
  place.replaceChildren();
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    place.replaceChildren(problemCard(error));
    announce("That did not work.");
  } finally {
    button.disabled = false;
  }
}
