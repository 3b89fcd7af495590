import assert from "node:assert/strict";
import { test } from "node:test";
import { SilentAudio } from "../../../channels/site/silent_audio.js";

function silentCall() {
  const told = { frames: 0, marks: [] };
  const audio = new SilentAudio({ onFrame: (frame) => { told.frames += frame.length / 320; }, onMark: (name) => told.marks.push(name) });
  audio.catchUp(1000); // the first frame
  return { audio, told };
}

const speech = (ms) => new Int16Array(16 * ms).fill(1000);

test("a frame of silence goes out every 20 ms, however unevenly the timer runs", () => {
  const { audio, told } = silentCall();
  for (const now of [1019, 1020, 1095, 1100, 2000]) audio.catchUp(now);
  assert.equal(told.frames, 51);
});

test("a page that slept does not flood the server", () => {
  const { audio, told } = silentCall();
  audio.catchUp(3_600_000);
  assert.ok(told.frames <= 102);
});

test("a mark comes back when its audio would have been heard", () => {
  const { audio, told } = silentCall();
  audio.play(speech(500));
  audio.mark("a");
  audio.catchUp(1480);
  assert.deepEqual(told.marks, []);
  audio.catchUp(1700);
  assert.deepEqual(told.marks, ["a"]);
});

test("clear gives marks back at once", () => {
  const { audio, told } = silentCall();
  audio.play(speech(500));
  audio.mark("a");
  audio.clear();
  assert.deepEqual(told.marks, ["a"]);
});

test("there is no microphone", async () => {
  assert.equal(await silentCall().audio.askForMicrophone(), "missing");
});
