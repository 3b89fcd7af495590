/**
 * In the audio thread: plays what the server sends, through the jitter buffer, at the device's rate.
 *
 * Messages in: {samples: Int16Array} at the wire's rate, {mark: name}, {clear: true}. Out: {marks: names} that were heard or cleared,
 * {dropped: true} when audio came faster than it can be held, {empty: boolean} whenever it falls silent or begins.
 */

import { JitterBuffer } from "../jitter_buffer.js";
import { WIRE_RATE_HZ, fromL16 } from "../pcm.js";
import { Resampler } from "../resampler.js";

class Player extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.resampler = new Resampler(WIRE_RATE_HZ, sampleRate);
    this.buffer = new JitterBuffer(sampleRate, { latencyMs: processorOptions.latencyMs });
    this.empty = true;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take(message) {
    if (message.samples !== undefined) {
      if (!this.buffer.push(this.resampler.push(fromL16(message.samples)))) this.port.postMessage({ dropped: true });
    } else if (message.mark !== undefined) {
      this.buffer.mark(message.mark);
    } else if (message.clear) {
      this.resampler.reset();
      this.report(this.buffer.clear());
    }
    this.tellEmpty();
  }

  process(_inputs, [output]) {
    const marks = this.buffer.read(output[0]);
    for (let i = 1; i < output.length; i += 1) output[i].set(output[0]);
    this.report(marks);
    this.tellEmpty();
    return true;
  }

  report(marks) {
    if (marks.length > 0) this.port.postMessage({ marks });
  }

  tellEmpty() {
    if (this.buffer.empty === this.empty) return;
    this.empty = this.buffer.empty;
    this.port.postMessage({ empty: this.empty });
  }
}

registerProcessor("player", Player);
