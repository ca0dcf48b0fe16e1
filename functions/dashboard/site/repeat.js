/** Looking again and again, as long as the page is seen. */

/** Calls `look` every `milliseconds`, one at a time, until the signal is aborted or it returns false. */
export function repeat(look, milliseconds, signal) {
  let failures = 0;
  async function turn() {
    if (signal.aborted) return;
    let goesOn = true;
    if (!document.hidden) {
      try {
        goesOn = (await look()) !== false;
        failures = 0;
      } catch {
        failures += 1; // the next look may reach the API again; what is shown stays
      }
    }
    if (goesOn && !signal.aborted) setTimeout(turn, milliseconds * Math.min(8, 2 ** failures));
  }
  setTimeout(turn, milliseconds);
}
