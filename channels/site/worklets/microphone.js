/**
 * In the audio thread: turns whatever microphone is connected into frames of 20 ms at the wire's rate.
 *
 * It emits a frame for every 20 ms of the device's clock, silent ones while no microphone is connected or while muted, so that the
 * other side's clock goes on. Messages out: {frame: Int16Array, level: 0..1}; in: {muted: boolean}.
 */

import { FRAME_SAMPLES, WIRE_RATE_HZ, loudness, toL16 } from "../pcm.js";
import { Resampler } from "../resampler.js";

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, WIRE_RATE_HZ);
    this.frame = new Float32Array(FRAME_SAMPLES);
    this.filled = 0;
    this.muted = false;
    this.silence = new Float32Array(128);
    this.port.onmessage = ({ data }) => {
      this.muted = data.muted;
    };
  }

  process([channels], [output]) {
    const heard = channels.length > 0 && !this.muted ? channels[0] : this.silenceOf(output[0].length);
    for (const sample of this.resampler.push(heard)) {
      this.frame[this.filled] = sample;
      this.filled += 1;
      if (this.filled === FRAME_SAMPLES) this.emit();
    }
    return true;
  }

  silenceOf(length) {
    if (this.silence.length !== length) this.silence = new Float32Array(length);
    return this.silence;
  }

  emit() {
    const frame = toL16(this.frame);
    this.port.postMessage({ frame, level: loudness(this.frame) }, [frame.buffer]);
    this.filled = 0;
  }
}

registerProcessor("microphone", Microphone);
