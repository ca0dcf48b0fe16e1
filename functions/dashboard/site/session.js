/** Keys, kept as long as this tab is open and nowhere else. */

const CONTROL = "gamedojo-control-key";
const PREDICT = "gamedojo-predict-key";
const PREDICT_URL = "gamedojo-predict-url";

const item = (name) => ({
  get: () => sessionStorage.getItem(name) ?? "",
  set: (text) => sessionStorage.setItem(name, text),
});

export const controlKey = item(CONTROL);
export const predictKey = item(PREDICT);
export const predictUrl = item(PREDICT_URL);

export function forget() {
  for (const name of [CONTROL, PREDICT, PREDICT_URL]) sessionStorage.removeItem(name);
}
