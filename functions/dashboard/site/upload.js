/** A zip goes to the bucket in parts, a few side by side, each tried again before the whole is given up. */

import { ApiError, control } from "./api.js";

const AT_ONCE = 3;
const TRIES = 4;
const URLS_AT_ONCE = 100;

/** Uploads a File; `told(sentBytes)` as it goes. Returns the key that a training request names. */
export async function upload(file, told) {
  const ticket = await control("POST", "/builds", { file_name: file.name, size_bytes: file.size });
  let sent = 0;
  try {
    for (let first = 1; first <= ticket.part_count; first += URLS_AT_ONCE) {
      const parts = await urls(ticket, first);
      await sideBySide(parts, async ({ number, upload_url: url }) => {
        const start = (number - 1) * ticket.part_size_bytes;
        const blob = file.slice(start, start + ticket.part_size_bytes);
        await send(url, blob);
        sent += blob.size;
        told(sent);
      });
    }
    await control("POST", `/builds/${ticket.build_id}/complete`, { size_bytes: file.size });
  } catch (error) {
    await control("DELETE", `/builds/${ticket.build_id}`).catch(() => null);
    throw error;
  }
  return ticket.key;
}

async function urls(ticket, first) {
  const count = Math.min(URLS_AT_ONCE, ticket.part_count - first + 1);
  const given = ticket.parts.filter((part) => part.number >= first && part.number < first + count);
  if (first === 1 && given.length === count) return given;
  return (await control("POST", `/builds/${ticket.build_id}/parts`, { first, count })).parts;
}

async function sideBySide(parts, work) {
  const waiting = [...parts];
  const worker = async () => {
    for (let part = waiting.shift(); part; part = waiting.shift()) await work(part);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function send(url, blob) {
  let reason = "";
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    if (attempt) await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    try {
      const response = await fetch(url, { method: "PUT", body: blob });
      if (response.ok) return;
      reason = `the bucket answered with status ${response.status}`;
    } catch {
      reason = "the bucket could not be reached";
    }
  }
  throw new ApiError({
    title: "Not uploaded", code: "UploadFailed", detail: `A part of the zip was not taken: ${reason}.`,
    remedy: "Try again. Of a deployed stack, the parameter AllowedOrigin must name this page's origin.",
  });
}
