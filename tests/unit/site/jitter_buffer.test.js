import assert from "node:assert/strict";
import { test } from "node:test";
import { JitterBuffer } from "../../../channels/site/jitter_buffer.js";

const RATE_HZ = 1000; // one sample a millisecond, so that the numbers below are times
const frame = (ms, value = 1) => new Float32Array(ms).fill(value);

function read(buffer, ms) {
  const out = new Float32Array(ms).fill(NaN);
  const marks = [...buffer.read(out)];
  return { marks, audio: out, silent: out.every((sample) => sample === 0), full: out.every((sample) => sample !== 0) };
}

function playing(timing) {
  const buffer = new JitterBuffer(RATE_HZ, timing);
  buffer.push(frame(100));
  assert.ok(read(buffer, 10).full);
  return buffer;
}

test("silence comes out while nothing is there", () => {
  assert.ok(read(new JitterBuffer(RATE_HZ), 10).silent);
});

test("it waits for its lead, then plays everything in order", () => {
  const buffer = new JitterBuffer(RATE_HZ, { startMs: 80 });
  buffer.push(frame(60, 1));
  assert.ok(read(buffer, 10).silent);
  buffer.push(frame(20, 2));
  const { audio } = read(buffer, 80);
  assert.deepEqual([...audio], [...frame(60, 1), ...frame(20, 2)]);
});

test("a short sound is played too, after at most the lead", () => {
  const buffer = new JitterBuffer(RATE_HZ, { startMs: 80 });
  buffer.push(frame(20));
  for (let waited = 0; waited < 80; waited += 10) assert.ok(read(buffer, 10).silent);
  assert.ok(read(buffer, 10).full);
});

test("a mark comes back when the audio before it has been played, not sooner", () => {
  const buffer = new JitterBuffer(RATE_HZ, { startMs: 0 });
  buffer.push(frame(30));
  buffer.mark("a");
  buffer.push(frame(10));
  buffer.mark("b");
  assert.deepEqual(read(buffer, 20).marks, []);
  assert.deepEqual(read(buffer, 10).marks, ["a"]);
  assert.deepEqual(read(buffer, 10).marks, ["b"]);
});

test("a mark waits until its audio has left the device", () => {
  const buffer = new JitterBuffer(RATE_HZ, { startMs: 0, latencyMs: 25 });
  buffer.push(frame(10));
  buffer.mark("a");
  assert.deepEqual(read(buffer, 10).marks, []);
  assert.deepEqual(read(buffer, 10).marks, []);
  assert.deepEqual(read(buffer, 10).marks, []);
  assert.equal(buffer.empty, false);
  assert.deepEqual(read(buffer, 10).marks, ["a"]);
  assert.equal(buffer.empty, true);
});

test("a mark with nothing before it comes back at once", () => {
  const buffer = new JitterBuffer(RATE_HZ);
  buffer.mark("a");
  assert.deepEqual(read(buffer, 10).marks, ["a"]);
});

test("clear silences at once and gives every mark back once, in order", () => {
  const buffer = playing({ latencyMs: 50 });
  buffer.mark("a");
  buffer.push(frame(100));
  buffer.mark("b");
  read(buffer, 95); // "a" has been played and is on its way out
  assert.deepEqual(buffer.clear(), ["a", "b"]);
  assert.deepEqual(read(buffer, 10), { ...read(new JitterBuffer(RATE_HZ), 10) });
  assert.deepEqual(buffer.clear(), []);
  assert.equal(buffer.empty, true);
});

test("after an underrun in mid-speech, gaps of 400 ms are absorbed", () => {
  const buffer = playing({ startMs: 80, roughMs: 400 });
  read(buffer, 200); // dry
  buffer.push(frame(399));
  assert.ok(read(buffer, 10).silent, "a longer lead is taken");
  buffer.push(frame(10));
  for (let gap = 0; gap < 400; gap += 10) assert.ok(read(buffer, 10).full, `still speaking ${gap} ms into a gap`);
});

test("running dry at a mark is the end of what was said, not an underrun", () => {
  for (const late of [false, true]) {
    const buffer = playing({ startMs: 80, roughMs: 400 });
    if (!late) buffer.mark("end");
    read(buffer, 200);
    if (late) buffer.mark("end");
    read(buffer, 10);
    buffer.push(frame(80));
    assert.ok(read(buffer, 10).full, late ? "mark after running dry" : "mark before running dry");
  }
});

test("speech after a long pause is a new utterance, not a late one", () => {
  const buffer = playing({ startMs: 80, lateMs: 1000 });
  read(buffer, 1200);
  buffer.push(frame(80));
  assert.ok(read(buffer, 10).full);
});

test("after smooth speech for a while the lead is short again", () => {
  const buffer = playing({ startMs: 80, roughMs: 400, calmMs: 1000 });
  read(buffer, 200);
  buffer.push(frame(1100));
  read(buffer, 1100);
  buffer.mark("end");
  read(buffer, 10);
  buffer.push(frame(80));
  assert.ok(read(buffer, 10).full);
});

test("what does not fit is refused, and what is held stays whole", () => {
  const buffer = new JitterBuffer(RATE_HZ, { startMs: 0, capMs: 100 });
  assert.equal(buffer.push(frame(100)), true);
  assert.equal(buffer.push(frame(1)), false);
  assert.ok(read(buffer, 100).full);
});

test("whatever the order of pushes and reads, every sample and mark comes out once, in order", () => {
  let seed = 7;
  const random = (below) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % below;
  };
  for (let round = 0; round < 200; round += 1) {
    const buffer = new JitterBuffer(RATE_HZ, { startMs: random(100), latencyMs: random(30) });
    const wanted = [];
    const got = [];
    let next = 1;
    let marks = 0;
    let markAt = 0;
    const drain = (ms) => {
      const { audio, marks: back } = read(buffer, ms);
      got.push(...audio.filter((sample) => sample !== 0));
      for (const name of back) {
        assert.equal(name, `${markAt}`);
        markAt += 1;
      }
    };
    for (let step = 0; step < 60; step += 1) {
      if (random(3) === 0) drain(1 + random(40));
      else if (random(4) === 0) buffer.mark(`${marks++}`);
      else {
        const samples = Float32Array.from({ length: 1 + random(30) }, () => next++);
        wanted.push(...samples);
        buffer.push(samples);
      }
    }
    for (let i = 0; i < 100; i += 1) drain(50);
    assert.deepEqual(got, wanted);
    assert.equal(markAt, marks);
    assert.equal(buffer.empty, true);
  }
});
