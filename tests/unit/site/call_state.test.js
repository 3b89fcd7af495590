import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOSED, isEnded, isLive, isUnderway, next } from "../../../channels/site/call_state.js";

const after = (...events) => events.reduce((state, event) => next(state, typeof event === "string" ? { type: event } : event), CLOSED);
const server = (state, reason) => ({ type: "server", state, reason });

test("a call from the click to the goodbye", () => {
  const steps = ["call", "placed", server("listening"), server("thinking"), server("speaking"), server("over", "completed")];
  const names = steps.map((_, i) => after(...steps.slice(0, i + 1)).name);
  assert.deepEqual(names, ["asking", "ringing", "listening", "thinking", "speaking", "over"]);
  assert.equal(after(...steps).reason, "completed");
});

test("hanging up is possible while asking and while live", () => {
  assert.deepEqual(after("call", "hang_up"), { name: "over", reason: "customer" });
  assert.deepEqual(after("call", "placed", server("speaking"), "hang_up"), { name: "over", reason: "customer" });
});

test("a lost connection is told apart from a call that ended", () => {
  assert.equal(after("call", "placed", "disconnected").name, "lost");
  assert.equal(after("call", "placed", server("over", "silence"), "disconnected").name, "over");
});

test("a refusal keeps its reason and the server's sentence", () => {
  const refused = { type: "refused", reason: "too_many", message: "All lines are busy." };
  assert.deepEqual(after("call", refused), { name: "refused", reason: "too_many", message: "All lines are busy." });
});

test("nothing that still arrives brings an ended call back", () => {
  for (const end of ["hang_up", "disconnected", server("over", "failed")]) {
    const ended = after("call", "placed", end);
    for (const late of [server("speaking"), server("over", "x"), { type: "disconnected" }, { type: "hang_up" }, { type: "placed" }]) {
      assert.equal(next(ended, late), ended);
    }
    assert.equal(next(ended, { type: "call" }).name, "asking");
    assert.equal(next(ended, { type: "close" }), CLOSED);
  }
});

test("a second call cannot be placed over the first, and a call under way is not closed", () => {
  const live = after("call", "placed", server("listening"));
  assert.equal(next(live, { type: "call" }), live);
  assert.equal(next(live, { type: "close" }), live);
});

test("a state that the page does not know is let pass", () => {
  const live = after("call", "placed");
  assert.equal(next(live, server("transferring")), live);
});

test("every state is under way, ended, or closed", () => {
  for (const name of ["closed", "asking", "ringing", "listening", "thinking", "speaking", "over", "lost", "refused"]) {
    const state = { name };
    assert.equal([isUnderway(state), isEnded(state), name === "closed"].filter(Boolean).length, 1, name);
    assert.ok(!isLive(state) || isUnderway(state));
  }
});

test("an event that does not exist is a mistake of the page", () => {
  assert.throws(() => next(CLOSED, { type: "ring" }), /unknown call event/);
});
