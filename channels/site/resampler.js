/**
 * Streaming change of sample rate, between the device's rate and the wire's.
 *
 * A polyphase windowed-sinc filter: for rates in the ratio L:M there are L sets of coefficients, so that any pair of whole rates is exact
 * and never drifts. The cut-off lies just under the lower of the two Nyquist rates: nothing folds back into the speech band.
 * Pure: samples in, samples out. Runs in the audio worklets and in the tests.
 */

const ZERO_CROSSINGS = 16;
const CUTOFF = 0.92;

export class Resampler {
  /** @param {number} fromHz @param {number} toHz whole numbers */
  constructor(fromHz, toHz) {
    const common = greatestCommonDivisor(fromHz, toHz);
    this.phases = toHz / common;
    this.step = fromHz / common;
    this.reach = fromHz === toHz ? 0 : Math.ceil(ZERO_CROSSINGS * Math.max(1, fromHz / toHz));
    this.coefficients = coefficients(this.phases, this.reach, Math.min(1, toHz / fromHz) * CUTOFF);
    this.reset();
  }

  /** Forget what was pushed: what comes next is not a continuation. */
  reset() {
    this.held = new Float32Array(this.reach);
    this.centre = this.reach;
    this.phase = 0;
  }

  /** @param {Float32Array} input @returns {Float32Array} as many samples as are ready; the last {@link reach} inputs wait for the next push */
  push(input) {
    if (this.reach === 0) return input.slice();
    const line = new Float32Array(this.held.length + input.length);
    line.set(this.held);
    line.set(input, this.held.length);

    const output = [];
    while (this.centre + this.reach < line.length) {
      output.push(this.sampleAt(line));
      this.phase += this.step;
      this.centre += Math.floor(this.phase / this.phases);
      this.phase %= this.phases;
    }
    const from = Math.min(line.length, this.centre - this.reach);
    this.held = line.slice(from);
    this.centre -= from;
    return Float32Array.from(output);
  }

  sampleAt(line) {
    const taps = this.coefficients[this.phase];
    const first = this.centre - this.reach;
    let sum = 0;
    for (let i = 0; i < taps.length; i += 1) sum += taps[i] * line[first + i];
    return sum;
  }
}

function coefficients(phases, reach, cutoff) {
  const sets = [];
  for (let phase = 0; phase < phases; phase += 1) {
    const taps = new Float32Array(2 * reach + 1);
    let total = 0;
    for (let i = 0; i < taps.length; i += 1) {
      const distance = i - reach - phase / phases;
      taps[i] = sinc(distance * cutoff) * blackman(distance / (reach + 1));
      total += taps[i];
    }
    for (let i = 0; i < taps.length; i += 1) taps[i] /= total; // unity gain at every phase, or a steady tone would ripple
    sets.push(taps);
  }
  return sets;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function blackman(x) {
  if (Math.abs(x) >= 1) return 0;
  return 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
