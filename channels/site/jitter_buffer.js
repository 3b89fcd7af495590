/**
 * Holds what the assistant says until it is due, so that an uneven network does not chop it up, and knows what has been heard.
 *
 * No I/O and no clock: time is the number of samples read. What always holds: audio and marks come out in the order they went in;
 * a mark comes back only when all audio before it has been played (and has left the device, `latencyMs` later), or at once on `clear`.
 *
 * It starts after a short lead. When it runs dry in the middle of speech, it takes a longer lead until speech has been smooth for a while.
 */

const NO_MARKS = Object.freeze([]);

export class JitterBuffer {
  /**
   * @param {number} rateHz
   * @param {{startMs?: number, roughMs?: number, calmMs?: number, lateMs?: number, latencyMs?: number, capMs?: number}} [timing]
   *   startMs: lead at first; roughMs: lead after an underrun; calmMs: smooth speech after which the lead is short again;
   *   lateMs: audio that comes this soon after running dry was late, later it is a new utterance; capMs: most audio held
   */
  constructor(rateHz, { startMs = 80, roughMs = 400, calmMs = 20000, lateMs = 1000, latencyMs = 0, capMs = 120000 } = {}) {
    const samples = (ms) => Math.round((rateHz * ms) / 1000);
    this.start = samples(startMs);
    this.rough = samples(roughMs);
    this.calm = samples(calmMs);
    this.late = samples(lateMs);
    this.latency = samples(latencyMs);
    this.cap = samples(capMs);

    this.lead = this.start;
    this.queue = []; // {samples, at} or {mark}
    this.buffered = 0;
    this.playing = false;
    this.waited = 0;
    this.smooth = 0;
    this.dryFor = Infinity; // since speech was broken off for want of audio; Infinity: it was not
    this.leaving = []; // marks whose audio is on its way through the device
  }

  /** @param {Float32Array} samples @returns {boolean} false when there was no room and the audio was dropped */
  push(samples) {
    if (this.buffered + samples.length > this.cap) return false;
    if (this.dryFor < this.late) {
      this.lead = this.rough;
      this.smooth = 0;
    }
    this.dryFor = Infinity;
    this.queue.push({ samples, at: 0 });
    this.buffered += samples.length;
    return true;
  }

  /** Ask for `name` back when everything pushed so far has been heard. @param {string} name */
  mark(name) {
    this.dryFor = Infinity; // the audio before it was all there is: running dry was the end of what was said
    this.queue.push({ mark: name });
  }

  /** Fall silent at once. @returns {string[]} every mark not yet returned, in order */
  clear() {
    const names = this.leaving.map((entry) => entry.mark);
    for (const entry of this.queue) if (entry.mark !== undefined) names.push(entry.mark);
    this.queue = [];
    this.leaving = [];
    this.buffered = 0;
    this.playing = false;
    this.waited = 0;
    this.dryFor = Infinity;
    return names;
  }

  /** True when nothing is held and nothing is on its way out. */
  get empty() {
    return this.queue.length === 0 && this.leaving.length === 0;
  }

  /** Fill `out` with what is due, silence where nothing is. @param {Float32Array} out @returns {readonly string[]} marks that are due back */
  read(out) {
    if (!this.playing) this.consider(out.length);
    const filled = this.playing ? this.copy(out) : 0;
    out.fill(0, filled);
    if (this.playing) this.settle(filled, out.length);
    if (this.dryFor !== Infinity) this.dryFor += out.length - filled;
    return this.leaving.length === 0 ? NO_MARKS : this.depart(out.length);
  }

  consider(length) {
    this.takeMarks();
    if (this.buffered === 0) return;
    if (this.buffered >= this.lead || this.waited >= this.lead) {
      this.playing = true;
      this.waited = 0;
    } else {
      this.waited += length;
    }
  }

  copy(out) {
    let filled = 0;
    while (filled < out.length && this.buffered > 0) {
      const entry = this.queue[0];
      const part = entry.samples.subarray(entry.at, entry.at + out.length - filled);
      out.set(part, filled);
      filled += part.length;
      entry.at += part.length;
      this.buffered -= part.length;
      if (entry.at === entry.samples.length) {
        this.queue.shift();
        this.takeMarks();
      }
    }
    return filled;
  }

  settle(filled, length) {
    this.smooth += filled;
    if (this.smooth >= this.calm) this.lead = this.start;
    if (filled === length) return;
    if (this.queue.length > 0) this.takeMarks(); // a mark that came after the last sample was copied
    this.playing = false;
    this.dryFor = this.endedOnMark ? Infinity : 0;
  }

  takeMarks() {
    this.endedOnMark = false;
    while (this.queue.length > 0 && this.queue[0].mark !== undefined) {
      this.leaving.push({ mark: this.queue.shift().mark, left: this.latency });
      this.endedOnMark = true;
    }
  }

  depart(length) {
    const names = [];
    while (this.leaving.length > 0 && this.leaving[0].left <= 0) names.push(this.leaving.shift().mark);
    for (const entry of this.leaving) entry.left -= length;
    return names;
  }
}
