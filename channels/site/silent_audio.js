/**
 * A call without sound, for pages where the browser allows none (no secure origin, no AudioWorklet): captions and typing still work.
 *
 * It has CallAudio's face. Frames of silence go out, and marks come back when their audio would have been heard, both at the pace of a
 * timer that catches up when the browser held it back.
 */

import { JitterBuffer } from "./jitter_buffer.js";
import { FRAME_MS, FRAME_SAMPLES, WIRE_RATE_HZ, fromL16 } from "./pcm.js";

const MOST_FRAMES_AT_ONCE = 100; // a page that slept for longer has lost that time

export class SilentAudio {
  /** @param {import("./call_audio.js").AudioCallbacks} callbacks */
  constructor(callbacks) {
    this.callbacks = callbacks;
    this.buffer = new JitterBuffer(WIRE_RATE_HZ);
    this.unheard = new Float32Array(FRAME_SAMPLES);
    this.next = null; // when the next frame is due
  }

  async start() {
    this.timer = setInterval(() => this.catchUp(performance.now()), FRAME_MS);
  }

  async askForMicrophone() {
    return "missing";
  }

  /** Do what was due by `now`. @param {number} now milliseconds */
  catchUp(now) {
    this.next = Math.max(this.next ?? now, now - MOST_FRAMES_AT_ONCE * FRAME_MS);
    while (this.next <= now) {
      this.next += FRAME_MS;
      this.callbacks.onFrame(new Int16Array(FRAME_SAMPLES), 0);
      for (const name of this.buffer.read(this.unheard)) this.callbacks.onMark(name);
    }
  }

  play(samples) {
    this.buffer.push(fromL16(samples));
  }

  mark(name) {
    this.buffer.mark(name);
  }

  clear() {
    for (const name of this.buffer.clear()) this.callbacks.onMark(name);
  }

  mute() {}

  tone() {}

  async finish() {
    this.close();
  }

  close() {
    clearInterval(this.timer);
  }
}
