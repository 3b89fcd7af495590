/**
 * The sound of one call in a browser: the microphone, the loudspeaker, and the tones of the keypad.
 *
 * Two worklets do the work on the audio thread (worklets/); this file wires them and asks for the microphone. A call goes on without a
 * microphone: the microphone's worklet then emits silence at the same pace. Where a browser has no audio for this page at all (no secure
 * origin, no AudioWorklet), SilentAudio in silent_audio.js takes its place.
 */

const TONES_HZ = {
  1: [697, 1209], 2: [697, 1336], 3: [697, 1477],
  4: [770, 1209], 5: [770, 1336], 6: [770, 1477],
  7: [852, 1209], 8: [852, 1336], 9: [852, 1477],
  "*": [941, 1209], 0: [941, 1336], "#": [941, 1477],
}; // ITU-T Q.23
const TONE_S = 0.12;
const TONE_GAIN = 0.04;
const LONGEST_GOODBYE_MS = 15000;

/**
 * @typedef {object} AudioCallbacks
 * @property {(frame: Int16Array, level: number) => void} onFrame every 20 ms; level 0..1
 * @property {(name: string) => void} onMark the audio before this mark was heard or cleared
 */

export class CallAudio {
  static get supported() {
    return typeof AudioContext === "function" && "audioWorklet" in AudioContext.prototype && window.isSecureContext;
  }

  /** Call it from a click: browsers start audio only then. @param {AudioCallbacks} callbacks */
  constructor(callbacks) {
    this.callbacks = callbacks;
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.stream = null;
    this.empty = true;
    this.whenEmpty = null;
  }

  /** Load the worklets and start. Throws when the browser can't. */
  async start() {
    const { context } = this;
    const here = new URL("worklets/", import.meta.url);
    await Promise.all([
      context.resume(), // asked for first: some browsers count only what happens in the click itself
      context.audioWorklet.addModule(new URL("microphone.js", here)),
      context.audioWorklet.addModule(new URL("player.js", here)),
    ]);
    const latencyMs = 1000 * (context.outputLatency || context.baseLatency || 0);
    this.microphone = new AudioWorkletNode(context, "microphone", { outputChannelCount: [1] });
    this.player = new AudioWorkletNode(context, "player", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { latencyMs },
    });
    this.microphone.port.onmessage = ({ data }) => this.callbacks.onFrame(data.frame, data.level);
    this.player.port.onmessage = ({ data }) => this.heard(data);
    this.microphone.connect(context.destination); // it puts out silence; unconnected, some browsers would never run it
    this.player.connect(context.destination);
  }

  /** @returns {Promise<"on" | "refused" | "missing">} never throws: a call without a microphone is still a call */
  async askForMicrophone() {
    if (!navigator.mediaDevices?.getUserMedia) return "missing";
    try {
      const wanted = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
      this.connect(stream);
      return "on";
    } catch (error) {
      return error.name === "NotAllowedError" || error.name === "SecurityError" ? "refused" : "missing";
    }
  }

  connect(stream) {
    if (this.context.state === "closed") {
      stopAll(stream); // the customer hung up while the browser was still asking
      return;
    }
    this.stream = stream;
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.microphone);
  }

  /** @param {Int16Array} samples 16 kHz */
  play(samples) {
    this.empty = false;
    this.player.port.postMessage({ samples }, [samples.buffer]);
  }

  mark(name) {
    this.player.port.postMessage({ mark: name });
  }

  clear() {
    this.player.port.postMessage({ clear: true });
  }

  mute(muted) {
    this.microphone.port.postMessage({ muted });
  }

  /** The tone of a key, for the ear that pressed it; the server gets the digit as a message. */
  tone(digit) {
    const { context } = this;
    const gain = new GainNode(context, { gain: TONE_GAIN });
    gain.connect(context.destination);
    const until = context.currentTime + TONE_S;
    for (const frequency of TONES_HZ[digit]) {
      const oscillator = new OscillatorNode(context, { frequency });
      oscillator.connect(gain);
      oscillator.start();
      oscillator.stop(until);
    }
  }

  /** Stop listening, let what was already sent be heard, then stop altogether. */
  async finish() {
    this.stopListening();
    if (!this.empty) {
      await Promise.race([
        new Promise((resolve) => { this.whenEmpty = resolve; }),
        new Promise((resolve) => { setTimeout(resolve, LONGEST_GOODBYE_MS); }),
      ]);
    }
    this.close();
  }

  /** Stop at once. May be called twice. */
  close() {
    this.stopListening();
    if (this.context.state !== "closed") this.context.close();
  }

  stopListening() {
    if (this.microphone) this.microphone.port.onmessage = null;
    if (this.stream) stopAll(this.stream);
    this.stream = null;
  }

  heard({ marks, empty, dropped }) {
    if (marks) for (const name of marks) this.callbacks.onMark(name);
    if (dropped) console.warn("audio came faster than it can be held; some was dropped");
    if (empty === undefined) return;
    this.empty = empty;
    if (empty && this.whenEmpty) this.whenEmpty();
  }
}

function stopAll(stream) {
  for (const track of stream.getTracks()) track.stop();
}
