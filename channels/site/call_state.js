/**
 * Where a call stands, as one value and one table. Pure: the phone panel shows whatever this says, and nothing else decides.
 *
 *   closed -> asking (for the microphone) -> ringing -> listening | thinking | speaking -> over | lost | refused
 *
 * The server moves a live call between its states. An ended call stays ended, whatever still arrives, until another one is placed.
 */

export const LIVE = Object.freeze(["ringing", "listening", "thinking", "speaking"]);
export const ENDED = Object.freeze(["over", "lost", "refused"]);
export const CLOSED = Object.freeze({ name: "closed" });

/**
 * @typedef {{name: string, reason?: string, message?: string}} CallState
 * @typedef {{type: string, state?: string, reason?: string, message?: string}} CallEvent
 *   type: call | placed | server | refused | disconnected | hang_up | close
 * @param {CallState} current @param {CallEvent} event @returns {CallState} the same object where nothing changes
 */
export function next(current, event) {
  const step = STEPS[event.type];
  if (step === undefined) throw new Error(`unknown call event: ${event.type}`);
  return step(current, event) ?? current;
}

export const isLive = (state) => LIVE.includes(state.name);
export const isEnded = (state) => ENDED.includes(state.name);
export const isUnderway = (state) => state.name === "asking" || isLive(state);

const STEPS = {
  call: (now) => (isUnderway(now) ? null : { name: "asking" }),
  placed: (now) => (now.name === "asking" ? { name: "ringing" } : null),
  server: (now, { state, reason }) => {
    if (!isLive(now)) return null;
    if (state === "over") return { name: "over", reason };
    return LIVE.includes(state) && state !== now.name ? { name: state } : null;
  },
  refused: (now, { reason, message }) => (isUnderway(now) ? { name: "refused", reason, message } : null),
  disconnected: (now) => (isLive(now) ? { name: "lost" } : null),
  hang_up: (now) => (isUnderway(now) ? { name: "over", reason: "customer" } : null),
  close: (now) => (isUnderway(now) ? null : CLOSED),
};
