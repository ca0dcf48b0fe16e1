/** A new run: a zip is dropped or a build chosen, a few fields, everything else as JSON. */

import { ApiError, control } from "./api.js";
import { announce, field, h } from "./dom.js";
import { bytes } from "./format.js";
import { act } from "./notices.js";
import { requestOf } from "./run_cards.js";
import { upload } from "./upload.js";

export async function newRunPage(place, _, query) {
  const from = query.get("from");
  const [page, mirrored, record] = await Promise.all([
    control("GET", "/builds?limit=100"),
    control("GET", "/registry"),
    from ? control("GET", `/training-runs/${encodeURIComponent(from)}`) : null,
  ]);
  const named = query.get("registry");
  const request = record ? requestOf(record) : named ? { build: { key: REGISTRY + named } } : {};
  const environments = mirrored.environments.map((one) => REGISTRY + one.environment);
  place.replaceChildren(
    h("h1", {}, from ? `Train again: ${from}` : "New run"),
    new NewRun([...environments, ...page.builds.filter((one) => one.status === "READY").map((one) => one.key)], request).form);
}

/** Before an environment's id, where a build's key would stand. */
const REGISTRY = "registry:";

class NewRun {
  constructor(builds, { build, policy, seed, stop, ...others }) {
    this.file = h("input", { type: "file", accept: ".zip,.ZIP", id: "zip", onchange: () => this.chosen() });
    this.said = h("p", { class: "drop-said" }, "Drop a zip of a Linux build here, or choose one");
    this.drop = h("div", { class: "drop" }, this.said, h("label", { for: "zip", class: "visually-hidden" }, "Build (zip)"),
      this.file);
    for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
      this.drop.addEventListener(name, (event) => {
        event.preventDefault();
        this.drop.classList.toggle("over", over);
        if (name === "drop" && event.dataTransfer.files.length) {
          this.file.files = event.dataTransfer.files;
          this.chosen();
        }
      });
    }
    this.key = h("select", {}, h("option", { value: "" }, "The zip above"), buildKeys(builds, build?.key).map((one) =>
      h("option", { value: one, selected: one === build?.key }, one)));
    this.policy = h("input", { value: policy ?? "", pattern: "[a-z0-9](-?[a-z0-9]){0,39}", autocomplete: "off" });
    this.stop = stop ?? {};
    this.steps = h("input", { type: "number", min: 1, value: String(stop?.env_steps ?? "") });
    this.seed = h("input", { type: "number", min: 0, value: String(seed ?? "") });
    this.others = h("textarea", { rows: 10, spellcheck: "false", value: JSON.stringify(others, null, 2) });
    this.problems = h("div");
    this.progress = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
    this.button = h("button", { class: "primary", type: "submit" }, "Start training");
    this.form = h("form", { class: "card wide", onsubmit: (event) => this.submit(event) },
      this.drop, field("Build", this.key, "One that was uploaded before, or an environment that was mirrored, needs no upload."),
      h("div", { class: "fields" },
        field("Policy", this.policy, "Left empty: made from the file's or environment's name."),
        field("Decisions to train", this.steps, "Left empty: as many as the defaults say."),
        field("Seed", this.seed)),
      field("Other settings", this.others, 'JSON, for example {"algorithm": "SAC", "max_cost_usd": 5}; docs/requests.md has every setting.'),
      this.progress, this.problems, h("div", { class: "actions" }, this.button));
  }

  chosen() {
    const [file] = this.file.files;
    if (!file) return;
    this.key.value = "";
    this.said.textContent = `${file.name}, ${bytes(file.size)}`;
    if (!this.policy.value) this.policy.placeholder = "made from the file's name";
  }

  request() {
    let others;
    try {
      others = JSON.parse(this.others.value.trim() || "{}");
    } catch (error) {
      throw refused(`Other settings are no JSON: ${error.message}`, "Mend the text; {} is the shortest that is right.");
    }
    if (others === null || typeof others !== "object" || Array.isArray(others)) {
      throw refused("Other settings are no JSON object.", "Write {\"name\": value, …}.");
    }
    const stop = { ...this.stop, ...others.stop };
    if (this.steps.value) stop.env_steps = Number(this.steps.value);
    else delete stop.env_steps;
    return {
      ...others,
      ...(this.policy.value ? { policy: this.policy.value } : {}),
      ...(this.seed.value ? { seed: Number(this.seed.value) } : {}),
      ...(Object.keys(stop).length ? { stop } : {}),
    };
  }

  submit(event) {
    event.preventDefault();
    return act(this.button, this.problems, async () => {
      const request = this.request();
      const key = this.key.value || await this.uploaded();
      const build = key.startsWith(REGISTRY) ? { registry: key.slice(REGISTRY.length) } : { key };
      const accepted = await control("POST", "/training-runs", { ...request, build },
        { "idempotency-key": crypto.randomUUID() });
      location.hash = `#/runs/${accepted.run_id}`;
    });
  }

  async uploaded() {
    const [file] = this.file.files;
    if (!file) throw refused("There is no build to train on.", "Drop a zip, or choose a build that was uploaded.");
    this.progress.hidden = false;
    announce("Uploading");
    try {
      const key = await upload(file, (sent) => { this.progress.value = sent / file.size; });
      this.key.append(h("option", { value: key }, key)); // a request that is refused needs no second upload
      this.key.value = key;
      return key;
    } finally {
      this.progress.hidden = true;
    }
  }
}

const refused = (detail, remedy) => new ApiError({ title: "Not sent", code: "Form", detail, remedy });

const buildKeys = (builds, chosen) => [...new Set([...(chosen ? [chosen] : []), ...builds])];
