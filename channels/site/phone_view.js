/**
 * The phone panel on the screen. It shows what it is told and reports what was pressed; it decides nothing.
 *
 * The markup stands in index.html, the words in wording.json. Whatever the server sends is set as text, never as markup.
 */

import { isLive, isUnderway } from "./call_state.js";
import { fill } from "./wording.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const MOST_CAPTIONS = 200;

export class PhoneView {
  /** @param {HTMLElement} panel @param {object} words the `phone` part of the wording */
  constructor(panel, words) {
    this.panel = panel;
    this.words = words;
    this.part = (name) => panel.querySelector(`#phone-${name}`);
    this.interim = new Map(); // who -> the caption that is still changing
    this.makeKeys();
  }

  /**
   * @param {{call: () => void, hangUp: () => void, close: () => void, skipMicrophone: () => void, mute: () => void,
   *   digit: (digit: string) => void, say: (text: string) => void}} actions
   */
  connect(actions) {
    const press = (name, action) => this.part(name).addEventListener("click", () => action());
    press("call", actions.call);
    press("hang-up", actions.hangUp);
    press("close", actions.close);
    press("skip", actions.skipMicrophone);
    press("mute", actions.mute);
    press("keypad-toggle", () => this.toggleKeypad());
    this.part("keypad").addEventListener("click", ({ target }) => {
      const key = target.closest("button");
      if (key) this.press(key.value, actions.digit);
    });
    this.panel.addEventListener("keydown", (event) => this.typed(event, actions));
    this.part("type").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(actions.say);
    });
  }

  open() {
    if (!this.isOpen) this.cameFrom = document.activeElement;
    this.panel.hidden = false;
    this.part("close").focus({ preventScroll: true });
  }

  close() {
    this.panel.hidden = true;
  }

  /** Back to where the keyboard was before the panel opened. */
  returnFocus() {
    this.cameFrom?.focus({ preventScroll: true });
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** A new call: an empty page. */
  fresh() {
    this.settle();
    this.part("captions").replaceChildren();
    this.part("keyed").textContent = "";
    this.part("text").value = "";
    this.note(null);
    this.muted(false);
  }

  /** @param {import("./call_state.js").CallState} state @param {{typing: boolean}} how typing: there is no microphone to listen to */
  show(state, { typing }) {
    this.panel.dataset.state = state.name;
    this.part("state").textContent = this.words.states[state.name];
    this.part("detail").textContent = this.detail(state, typing);
    this.part("call-word").textContent = state.name === "closed" ? this.words.call : this.words.again;
    this.part("call").hidden = isUnderway(state);
    this.part("skip").hidden = state.name !== "asking";
    this.part("hang-up").hidden = !isUnderway(state);
    this.part("mute").hidden = !isLive(state) || typing;
    this.part("keypad-toggle").hidden = !isLive(state);
    this.part("type").hidden = !isLive(state);
    this.part("intro").hidden = isLive(state) || this.part("captions").childElementCount > 0;
    if (!isLive(state)) this.settle();
  }

  /** Nothing is about to change any more. */
  settle() {
    for (const [who, line] of this.interim) this.drop(who, line);
    this.toggleKeypad(false);
    this.showEngine(null);
    this.level(0);
  }

  detail(state, typing) {
    if (state.name === "over") return this.words.over[state.reason] ?? this.words.over.other;
    if (state.name === "refused") return state.message ?? this.words.refused[state.reason] ?? this.words.refused.other;
    if (state.name === "listening" && typing) return this.words.details.listening_typing;
    return this.words.details[state.name];
  }

  /** A caption of either side. One that is not final is replaced by the same speaker's next. */
  caption({ who, text, final }) {
    const atEnd = this.atEnd;
    const line = this.interim.get(who) ?? this.addLine(who);
    line.querySelector("p").textContent = text;
    line.classList.toggle("interim", !final);
    line.ariaHidden = final ? null : "true"; // only what stands is read aloud
    if (final) this.interim.delete(who);
    else this.interim.set(who, line);
    if (text === "") this.drop(who, line);
    this.part("intro").hidden = true;
    if (atEnd) this.scrollToEnd();
  }

  get atEnd() {
    const captions = this.part("captions");
    return captions.scrollHeight - captions.scrollTop - captions.clientHeight < 40;
  }

  scrollToEnd() {
    const captions = this.part("captions");
    captions.scrollTop = captions.scrollHeight;
  }

  addLine(who) {
    const captions = this.part("captions");
    const line = document.createElement("li");
    line.dataset.who = who === "customer" ? "customer" : "assistant";
    const name = document.createElement("span");
    name.textContent = who === "customer" ? this.words.you : this.words.assistant;
    line.append(name, document.createElement("p"));
    captions.append(line);
    if (captions.childElementCount > MOST_CAPTIONS) captions.firstElementChild.remove();
    return line;
  }

  drop(who, line) {
    line.remove();
    this.interim.delete(who);
  }

  /** @param {string | null} key a sentence under `notes`, or none */
  note(key) {
    const note = this.part("note");
    note.hidden = key === null;
    note.textContent = key === null ? "" : this.words.notes[key];
  }

  /** @param {{stt: string, demo: boolean} | null} engine */
  showEngine(engine) {
    const note = this.part("engine");
    note.hidden = !engine?.demo;
    note.textContent = engine?.demo ? fill(this.words.notes.demo, { engine: engine.stt }) : "";
  }

  /** @param {number} loudness 0..1, root mean square */
  level(loudness) {
    const meter = this.part("level");
    const shown = Math.min(1, Math.max(0, 1 + Math.log10(loudness + 1e-6) / 2)); // -40 dB..0 dB as 0..1: loudness as the ear has it
    meter.style.setProperty("--level", shown.toFixed(3));
  }

  muted(muted) {
    this.part("mute").setAttribute("aria-pressed", String(muted));
    this.part("mute-word").textContent = muted ? this.words.unmute : this.words.mute;
  }

  toggleKeypad(open = this.part("keypad").hidden) {
    const { atEnd } = this;
    this.part("keypad").hidden = !open;
    this.part("keypad-toggle").setAttribute("aria-expanded", String(open));
    if (atEnd) this.scrollToEnd();
  }

  makeKeys() {
    const keys = KEYS.map((digit) => {
      const key = document.createElement("button");
      key.type = "button";
      key.value = digit;
      key.textContent = digit;
      return key;
    });
    this.part("keypad").querySelector(".keys").replaceChildren(...keys);
  }

  press(digit, action) {
    const keyed = this.part("keyed");
    keyed.textContent = (keyed.textContent + digit).slice(-16);
    action(digit);
  }

  typed(event, actions) {
    if (event.key === "Escape" && !this.part("keypad").hidden) this.toggleKeypad(false);
    const elsewhere = event.target === this.part("text") || event.ctrlKey || event.metaKey || event.altKey;
    if (elsewhere || this.part("keypad").hidden || !KEYS.includes(event.key)) return;
    this.press(event.key, actions.digit);
  }

  submit(action) {
    const field = this.part("text");
    const text = field.value.trim();
    if (text === "") return;
    field.value = "";
    action(text);
  }
}
