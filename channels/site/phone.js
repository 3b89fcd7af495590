/**
 * The page's own telephone: one call at a time, from the click to the hang-up.
 *
 * It joins the parts: call_state decides what a call may do, call_audio hears and speaks, media_socket talks to the server, phone_view
 * shows. A call is placed with a single-use token for which the chat's session is the proof; that is how the assistant knows what was
 * typed. The order of a call: ask for the microphone, get a token, connect, ring.
 */

import { CallAudio } from "./call_audio.js";
import { CLOSED, isLive, next } from "./call_state.js";
import { loginToken } from "./login.js";
import { MediaSocket, newCall } from "./media_socket.js";
import { SilentAudio } from "./silent_audio.js";

const TOKEN_ADDRESS = "/webhooks/phone/page-call";
const ANSWER_TIMEOUT_MS = 15000;

/** The server said no, in words for the customer. */
class Refused extends Error {
  constructor(reason, message) {
    super(message ?? reason);
    this.reason = reason;
    this.sentence = message;
  }
}

export class Phone {
  /**
   * @param {import("./phone_view.js").PhoneView} view
   * @param {{sessionId: () => string | null, onChange: (state: import("./call_state.js").CallState) => void}} page
   */
  constructor(view, page) {
    this.view = view;
    this.page = page;
    this.state = CLOSED;
    this.reset();
    view.connect({
      call: () => this.call(),
      hangUp: () => this.hangUp(),
      close: () => this.close(),
      skipMicrophone: () => this.skipMicrophone(),
      mute: () => this.mute(),
      digit: (digit) => this.digit(digit),
      say: (text) => this.media?.sendText(text),
    });
    window.addEventListener("pagehide", () => this.hangUp());
    this.show();
  }

  reset() {
    this.audio = null;
    this.media = null;
    this.microphone = "asking"; // asking | on | refused | missing | skipped
    this.isMuted = false;
    this.skipMicrophone = () => {};
  }

  get typing() {
    return this.microphone !== "on";
  }

  /** Open the panel, and call if no call is under way. Must come from a click: browsers let a page make sound only then. */
  async openAndCall() {
    this.open();
    await this.call();
  }

  open() {
    this.view.open();
    this.page.onChange(this.state);
  }

  /** Place a call. Never throws: what goes wrong is shown as the call's end. */
  async call() {
    const before = this.state;
    this.move({ type: "call" });
    if (this.state === before) return;
    this.reset();
    this.view.fresh();
    this.show();
    const calling = this.state;
    try {
      await this.place(() => this.state === calling);
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      const { reason, sentence } = error instanceof Refused ? error : { reason: "other" };
      this.move({ type: "refused", reason, message: sentence });
      this.audio?.close();
    }
  }

  async place(stillWanted) {
    const audio = await this.startAudio();
    if (!stillWanted()) return;
    await this.settleMicrophone(audio);
    if (!stillWanted()) return;
    const { token, media_url: address } = await fetchToken(this.page.sessionId());
    if (!stillWanted()) return;
    this.move({ type: "placed" });
    this.connect(new WebSocket(websocketAddress(address)), token);
  }

  async startAudio() {
    const callbacks = {
      onFrame: (frame, level) => {
        this.media?.sendFrame(frame);
        this.view.level(level);
      },
      onMark: (name) => this.media?.sendMark(name),
    };
    if (CallAudio.supported) {
      this.audio = new CallAudio(callbacks);
      try {
        await this.audio.start();
        return this.audio;
      } catch (error) {
        console.warn("no sound in this browser; the call goes on without", error);
        this.audio.close();
      }
    }
    this.audio = new SilentAudio(callbacks);
    await this.audio.start();
    return this.audio;
  }

  settleMicrophone(audio) {
    return new Promise((resolve) => {
      const settle = (answer) => {
        this.microphoneIs(audio, answer);
        resolve();
      };
      this.skipMicrophone = () => settle("skipped");
      audio.askForMicrophone().then(settle); // counts also when it is allowed only after the customer went on without
    });
  }

  microphoneIs(audio, answer) {
    if (audio !== this.audio) return;
    this.microphone = answer;
    const notes = { refused: "microphone_refused", missing: "microphone_missing" };
    const silent = audio instanceof SilentAudio;
    this.view.note(silent ? "silent" : notes[answer] ?? null);
    this.show();
  }

  connect(socket, token) {
    const { audio } = this;
    const timer = setTimeout(() => socket.close(), ANSWER_TIMEOUT_MS);
    const media = new MediaSocket(socket, { token, ...newCall() }, {
      onMedia: (samples) => audio.play(samples),
      onMark: (name) => audio.mark(name),
      onClear: () => audio.clear(),
      onCaption: (caption) => this.view.caption(caption),
      onState: (state, reason) => {
        clearTimeout(timer);
        this.move({ type: "server", state, reason });
        if (this.state.name === "over") audio.finish();
      },
      onEngine: (engine) => this.view.showEngine(engine),
      onClosed: () => {
        clearTimeout(timer);
        if (media === this.media) this.disconnected();
      },
    });
    this.media = media;
  }

  disconnected() {
    const wasLive = isLive(this.state);
    this.move({ type: "disconnected" });
    if (wasLive) this.audio.close();
  }

  hangUp() {
    const before = this.state;
    this.move({ type: "hang_up" });
    if (this.state === before) return;
    this.media?.hangUp();
    this.audio?.close();
  }

  /** Put the panel away. A call under way goes on. */
  close() {
    this.view.close();
    this.move({ type: "close" });
    this.page.onChange(this.state);
    this.view.returnFocus();
  }

  mute() {
    this.isMuted = !this.isMuted;
    this.audio?.mute(this.isMuted);
    this.view.muted(this.isMuted);
    this.view.note(this.isMuted ? "muted" : null);
  }

  digit(digit) {
    if (!isLive(this.state)) return;
    this.audio.tone(digit);
    this.media?.sendDigit(digit);
  }

  move(event) {
    const after = next(this.state, event);
    if (after === this.state) return;
    this.state = after;
    this.show();
  }

  show() {
    this.view.show(this.state, { typing: this.typing });
    this.page.onChange(this.state);
  }
}

/** @returns {Promise<{token: string, media_url: string}>} Throws Refused. */
async function fetchToken(sessionId) {
  let answer;
  try {
    answer = await fetch(TOKEN_ADDRESS, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...authorization() },
      body: JSON.stringify({ session_id: sessionId }),
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    const body = await answer.json();
    if (answer.ok) return body;
    throw new Refused(body.error ?? "other", typeof body.message === "string" ? body.message : undefined);
  } catch (error) {
    throw error instanceof Refused ? error : new Refused("unreachable");
  }
}

/** A logged-in visitor's session is theirs by the login, not by its id alone. */
function authorization() {
  const token = loginToken();
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

function websocketAddress(path) {
  const address = new URL(path, window.location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address;
}
