/** Requests to both APIs. Every failure is an `ApiError`, with the words of the API's problem document. */

import { controlKey, predictKey, predictUrl } from "./session.js";

/** The control API is where this page comes from: …/<stage>/dashboard/api.js. */
const CONTROL_URL = new URL("..", import.meta.url).href.replace(/\/$/, "");

export class ApiError extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** Asks the control API; `path` begins with a slash. */
export const control = (method, path, body, headers = {}) =>
  ask(CONTROL_URL + path, method, body, { "x-api-key": controlKey.get(), ...headers });

/** Asks a policy; returns [answer, milliseconds]. */
export async function predict(policy, body) {
  const began = performance.now();
  const url = `${predictUrl.get()}/policies/${encodeURIComponent(policy)}/predict`;
  const answer = await ask(url, "POST", body, { "x-api-key": predictKey.get() });
  return [answer, performance.now() - began];
}

/** Where the predict API of this deployment is: the same address with its own id, on AWS and on the local cloud. */
export async function knownPredictUrl() {
  const { control_api_id: own, predict_api_id: other } = await ask(`${CONTROL_URL}/dashboard/settings.json`, "GET");
  return CONTROL_URL.includes(own) ? CONTROL_URL.replace(own, other) : "";
}

async function ask(url, method, body, headers = {}) {
  let response;
  let text;
  try {
    response = await fetch(url, {
      method,
      headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    text = await response.text();
  } catch {
    throw new ApiError({
      title: "No answer",
      code: "NoConnection",
      detail: `${new URL(url, location.href).origin} could not be reached.`,
      remedy: "Look at the connection. If it is another origin than this page's, the stack's parameter AllowedOrigin "
        + "must name this page's.",
    });
  }
  const document = parsed(text);
  if (response.ok) return document;
  throw new ApiError(document?.detail ? document : {
    title: response.statusText, status: response.status, code: "Unexpected",
    detail: document?.message ?? `The API answered with status ${response.status}.`, remedy: "Try again.",
  });
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
