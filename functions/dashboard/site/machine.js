/** The state machine as a picture: the states of statemachine/train_and_deploy.asl.json that do something. */

import { h, svg } from "./dom.js";
import { words } from "./format.js";

export const STATES = [
  "AdmitRun", "InspectBuild", "TakeTurn",
  "StartTraining", "CheckTraining", "ExtractCheckpoint",
  "StartEvaluation", "CheckEvaluation", "DecidePromotion",
  "DeployEndpoint", "CheckEndpoint", "VerifyEndpoint",
  "FinishRun",
];

/** States that are looked at again and again, until what they wait for is there. */
const LOOPS = new Set(["TakeTurn", "CheckTraining", "CheckEvaluation", "CheckEndpoint"]);
const [WIDTH, HEIGHT, GAP_X, GAP_Y] = [158, 40, 22, 24];
const phone = matchMedia("(max-width: 40rem)");

/** Present state lit, those that were entered filled in, the one that failed marked. */
export function machinePicture(record) {
  const perRow = phone.matches ? 2 : 5;
  const entered = new Set((record.history ?? []).map((one) => one.state));
  if (entered.has("StartTraining")) entered.add("TakeTurn"); // it writes nothing down when there is a turn at once
  const failed = record.failure?.state;
  const rows = Math.ceil(STATES.length / perRow);
  const at = (index) => ({
    x: 6 + (index % perRow) * (WIDTH + GAP_X), y: 6 + Math.floor(index / perRow) * (HEIGHT + GAP_Y),
  });
  const kind = (state) => {
    if (state === failed) return "failed";
    if (state === record.state) return record.status === "RUNNING" ? "present" : "done";
    return entered.has(state) ? "done" : "ahead";
  };
  const picture = svg("svg", {
    class: "machine", role: "img", viewBox: `0 0 ${perRow * (WIDTH + GAP_X) - GAP_X + 12} ${rows * (HEIGHT + GAP_Y)}`,
    "aria-label": `State machine. ${STATES.filter((one) => kind(one) === "done").length} of ${STATES.length} states are `
      + `done, ${record.status === "RUNNING" ? `it is at ${words(record.state)}` : `it ended as ${record.status}`}.`,
  });
  STATES.forEach((state, index) => {
    if (index) picture.append(arrow(at(index - 1), at(index)));
  });
  STATES.forEach((state, index) => {
    const { x, y } = at(index);
    picture.append(svg("g", { class: `state ${kind(state)}` },
      svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 10 }),
      svg("text", { x: x + WIDTH / 2, y: y + HEIGHT / 2 + 5, "text-anchor": "middle" },
        `${{ done: "✓ ", failed: "✕ " }[kind(state)] ?? ""}${words(state)}${LOOPS.has(state) ? " ↻" : ""}`)));
  });
  return h("figure", { class: "machine-frame" }, picture);
}

function arrow(from, to) {
  const [middle, below] = [from.y + HEIGHT / 2, from.y + HEIGHT];
  const line = from.y === to.y
    ? `M${from.x + WIDTH} ${middle}H${to.x}`
    : `M${from.x + WIDTH / 2} ${below}v${GAP_Y / 2}H${to.x + WIDTH / 2}V${to.y}`;
  return svg("path", { class: "arrow", d: line });
}
