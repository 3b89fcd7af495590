import assert from "node:assert/strict";
import { test } from "node:test";
import { Resampler } from "../../../channels/site/resampler.js";

const sine = (hz, rateHz, seconds) =>
  Float32Array.from({ length: Math.round(rateHz * seconds) }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rateHz));

/** Push in the audio thread's portions of 128 samples. */
function resample(from, to, samples) {
  const resampler = new Resampler(from, to);
  const out = [];
  for (let at = 0; at < samples.length; at += 128) out.push(...resampler.push(samples.subarray(at, at + 128)));
  return Float32Array.from(out);
}

function power(samples) {
  const middle = samples.subarray(samples.length >> 2, (3 * samples.length) >> 2);
  return middle.reduce((sum, sample) => sum + sample * sample, 0) / middle.length;
}

/** Signal to error in dB against the ideal sine, whatever its phase. */
function fidelityDb(samples, hz, rateHz) {
  const middle = samples.subarray(samples.length >> 2, (3 * samples.length) >> 2);
  let sin = 0;
  let cos = 0;
  const angle = (i) => (2 * Math.PI * hz * i) / rateHz;
  middle.forEach((sample, i) => {
    sin += (2 * sample * Math.sin(angle(i))) / middle.length;
    cos += (2 * sample * Math.cos(angle(i))) / middle.length;
  });
  let error = 0;
  middle.forEach((sample, i) => { error += (sample - sin * Math.sin(angle(i)) - cos * Math.cos(angle(i))) ** 2; });
  return 10 * Math.log10(((sin * sin + cos * cos) / 2) / (error / middle.length));
}

for (const [from, to] of [[48000, 16000], [44100, 16000], [16000, 48000], [16000, 44100], [96000, 16000], [8000, 16000]]) {
  test(`speech passes unchanged from ${from} to ${to} Hz`, () => {
    for (const hz of [200, 1000, 3000]) {
      const out = resample(from, to, sine(hz, from, 1));
      assert.ok(Math.abs(power(out) - 0.125) < 0.004, `${hz} Hz: power ${power(out)}`);
      assert.ok(fidelityDb(out, hz, to) > 50, `${hz} Hz: ${fidelityDb(out, hz, to)} dB`);
    }
  });

  test(`no sample is lost or made up from ${from} to ${to} Hz`, () => {
    const out = resample(from, to, new Float32Array(from * 10));
    const waiting = Math.ceil((new Resampler(from, to).reach * to) / from) + 1;
    assert.ok(out.length <= to * 10 && out.length >= to * 10 - waiting, `${out.length}`);
  });
}

test("what the lower rate cannot carry does not fold back into speech", () => {
  assert.ok(power(resample(48000, 16000, sine(10000, 48000, 1))) < 0.125 * 1e-6);
});

test("the portions in which it is pushed make no difference", () => {
  const samples = sine(440, 44100, 0.3);
  const resampler = new Resampler(44100, 16000);
  assert.deepEqual(resampler.push(samples), resample(44100, 16000, samples));
});

test("equal rates pass through", () => {
  const samples = sine(440, 16000, 0.1);
  assert.deepEqual(resample(16000, 16000, samples), samples);
});

test("after a reset nothing of the old sound is left", () => {
  const resampler = new Resampler(48000, 16000);
  resampler.push(sine(440, 48000, 0.1));
  resampler.reset();
  assert.ok(resampler.push(new Float32Array(480)).every((sample) => sample === 0));
});
