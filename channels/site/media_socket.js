/**
 * The telephone's media protocol as the page speaks it: Twilio Media Streams' JSON messages, with the page's own additions.
 *
 * It turns frames, digits, words and marks into messages and messages into callbacks. It owns no audio and no timers, and the socket
 * is handed in, so the tests drive it with a plain object. What always holds: nothing is sent before `start` or after the end,
 * `onClosed` is called exactly once, and sound is dropped rather than queued while the network does not keep up.
 */

import { FRAME_MS, WIRE_RATE_HZ, decode, encode } from "./pcm.js";

const OPEN = 1;
const MOST_QUEUED_BYTES = 64 * 1024; // two seconds of frames; older speech than that only delays what is said now

/**
 * @typedef {object} Callbacks
 * @property {(samples: Int16Array) => void} onMedia
 * @property {(name: string) => void} onMark
 * @property {() => void} onClear
 * @property {(caption: {who: string, text: string, final: boolean}) => void} onCaption
 * @property {(state: string, reason: string | undefined) => void} onState
 * @property {(engine: {stt: string, demo: boolean}) => void} onEngine
 * @property {() => void} onClosed
 */

export class MediaSocket {
  /**
   * @param {WebSocket} socket not yet open
   * @param {{token: string, streamSid: string, callSid: string, accountSid: string}} call
   * @param {Callbacks} callbacks
   */
  constructor(socket, call, callbacks) {
    this.socket = socket;
    this.call = call;
    this.callbacks = callbacks;
    this.sequence = 0;
    this.chunk = 0;
    this.started = false;
    this.closed = false;
    socket.onopen = () => this.start();
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => this.end();
    socket.onerror = () => this.end();
  }

  start() {
    const { token, streamSid, callSid, accountSid } = this.call;
    this.started = true;
    this.post({ event: "connected", protocol: "Call", version: "1.0.0" });
    this.post({
      event: "start",
      sequenceNumber: this.nextSequence(),
      streamSid,
      start: {
        accountSid,
        streamSid,
        callSid,
        tracks: ["inbound"],
        customParameters: { token },
        mediaFormat: { encoding: "audio/l16", sampleRate: WIRE_RATE_HZ, channels: 1 },
      },
    });
  }

  /** One frame of what the customer says. @param {Int16Array} samples 20 ms at 16 kHz @returns {boolean} whether it was sent */
  sendFrame(samples) {
    if (!this.usable) return false;
    this.chunk += 1; // counted even when it is dropped: the timestamp says when it was spoken
    if (this.socket.bufferedAmount > MOST_QUEUED_BYTES) return false;
    this.post({
      event: "media",
      sequenceNumber: this.nextSequence(),
      streamSid: this.call.streamSid,
      media: {
        track: "inbound",
        chunk: String(this.chunk),
        timestamp: String((this.chunk - 1) * FRAME_MS),
        payload: encode(samples),
      },
    });
    return true;
  }

  /** @param {string} digit one of 0-9, * and # */
  sendDigit(digit) {
    this.send("dtmf", { dtmf: { track: "inbound_track", digit } });
  }

  /** Tell the server that the audio before this mark has been heard, or was cleared. @param {string} name */
  sendMark(name) {
    this.send("mark", { mark: { name } });
  }

  /** Words typed instead of spoken. @param {string} text */
  sendText(text) {
    if (this.usable) this.post({ event: "text", text });
  }

  hangUp() {
    const { accountSid, callSid } = this.call;
    this.send("stop", { stop: { accountSid, callSid } });
    this.socket.close();
    this.end();
  }

  get usable() {
    return this.started && !this.closed && this.socket.readyState === OPEN;
  }

  send(event, body) {
    if (!this.usable) return;
    this.post({ event, sequenceNumber: this.nextSequence(), streamSid: this.call.streamSid, ...body });
  }

  post(message) {
    this.socket.send(JSON.stringify(message));
  }

  nextSequence() {
    this.sequence += 1;
    return String(this.sequence);
  }

  receive(data) {
    if (this.closed) return;
    let told;
    try {
      told = understand(data);
    } catch (error) {
      console.warn("this is not the media endpoint", error);
      this.socket.close();
      this.end();
      return;
    }
    if (told !== null) this.callbacks[told[0]](...told.slice(1));
  }

  end() {
    if (this.closed) return;
    this.closed = true;
    this.callbacks.onClosed();
  }
}

/** Which callback a message is for, and with what; null for one that a newer server may send. Throws on what is no message. */
function understand(data) {
  const message = JSON.parse(data);
  if (typeof message !== "object") throw new TypeError("not an object");
  switch (message.event) {
    case "media":
      return ["onMedia", decode(message.media.payload)];
    case "mark":
      return ["onMark", String(message.mark.name)];
    case "clear":
      return ["onClear"];
    case "caption":
      return ["onCaption", { who: message.who, text: String(message.text), final: message.final === true }];
    case "state":
      return ["onState", message.state, message.reason];
    case "engine":
      return ["onEngine", { stt: String(message.stt), demo: message.demo === true }];
    default:
      return null;
  }
}

/** The identifiers of a new call, in the shape the telephone's have. @returns {{streamSid: string, callSid: string, accountSid: string}} */
export function newCall() {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { streamSid: `MZ${id}`, callSid: `CA${id}`, accountSid: `AC${"0".repeat(32)}` };
}
