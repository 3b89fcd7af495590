import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_SAMPLES, decode, encode, fromL16, loudness, toL16 } from "../../../channels/site/pcm.js";

test("a frame is 20 ms at 16 kHz", () => {
  assert.equal(FRAME_SAMPLES, 320);
});

test("samples travel as signed 16-bit little-endian base64", () => {
  assert.equal(encode(Int16Array.of(1, -2, 32767, -32768)), Buffer.from([1, 0, 0xfe, 0xff, 0xff, 0x7f, 0, 0x80]).toString("base64"));
});

test("what was encoded is decoded unchanged", () => {
  const samples = Int16Array.from({ length: 65536 }, (_, i) => i - 32768);
  assert.deepEqual(decode(encode(samples)), samples);
});

test("a trailing half sample is dropped", () => {
  assert.deepEqual(decode(Buffer.from([1, 0, 9]).toString("base64")), Int16Array.of(1));
});

test("what is not base64 is refused", () => {
  assert.throws(() => decode("§"));
});

test("too loud is clipped, never wrapped", () => {
  assert.deepEqual(toL16(Float32Array.of(2, -2, 0)), Int16Array.of(32767, -32767, 0));
});

test("full scale stays within -1..1", () => {
  assert.deepEqual(fromL16(Int16Array.of(-32768, 0, 16384)), Float32Array.of(-1, 0, 0.5));
});

test("loudness is the root mean square", () => {
  assert.equal(loudness(new Float32Array(0)), 0);
  assert.equal(loudness(Float32Array.of(0.5, -0.5, 0.5, -0.5)), 0.5);
});
