/**
 * The page's start: words, the company's facts, the chat, and the two ways to the phone.
 */

import { hasConversation, mountChat, openChat, sessionId } from "./chat.js";
import { fetchCompany, showCompany } from "./company.js";
import { isUnderway } from "./call_state.js";
import { Phone } from "./phone.js";
import { PhoneView } from "./phone_view.js";
import { say } from "./wording.js";

const TALK = "#talk"; // a link to it, anywhere in the page or in a chat message, opens the phone

async function start() {
  const [words, company] = await Promise.all([fetchWording(), fetchCompany()]);
  const values = { ...words.company, ...textOf(company) };
  say(document, words, values);
  document.title = words.title.replace("{name}", values.name);
  showCompany(document, company, words.hours);

  const handover = new Handover(document.getElementById("handover"), words.handover);
  const view = new PhoneView(document.getElementById("phone"), words.phone);
  const phone = new Phone(view, { sessionId, onChange: (state) => handover.callIs(state, view.isOpen) });
  handover.onPress = () => phone.openAndCall();
  document.getElementById("open-phone").addEventListener("click", () => phone.openAndCall());
  document.getElementById("open-chat").addEventListener("click", openChat);
  openPhoneByLink(phone);
  await startChat(words.chat, handover);
}

/** The button beside the chat: "Continue by phone" as soon as there is something to continue. */
class Handover {
  constructor(button, words) {
    this.button = button;
    this.words = words;
    this.hasSession = false;
    this.inCall = false;
    this.panelIsOpen = false;
    this.onPress = () => {};
    button.addEventListener("click", () => this.onPress());
  }

  sessionIsThere() {
    this.hasSession = true;
    this.show();
  }

  callIs(state, panelIsOpen) {
    this.inCall = isUnderway(state);
    this.panelIsOpen = panelIsOpen;
    this.show();
  }

  show() {
    this.button.hidden = this.panelIsOpen || !(this.hasSession || this.inCall);
    this.button.classList.toggle("live", this.inCall);
    this.button.lastElementChild.textContent = this.words[this.leadsTo];
  }

  get leadsTo() {
    if (this.inCall) return "back";
    return hasConversation() ? "continue" : "fresh";
  }
}

async function startChat(words, handover) {
  const status = document.getElementById("chat-status");
  status.textContent = words.connecting;
  try {
    await mountChat(document.getElementById("chat"), words, {
      onSession: () => {
        status.textContent = "";
        handover.sessionIsThere();
      },
      onNotice: (text) => {
        status.textContent = text;
      },
      onLink: openChat,
      onLost: () => {
        status.textContent = words.connecting;
      },
      onMessage: () => setTimeout(() => handover.show()), // after the widget has kept the message
    });
  } catch (error) {
    console.error(error);
    status.textContent = words.unavailable;
  }
}

function openPhoneByLink(phone) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || link.hash !== TALK || link.pathname !== window.location.pathname) return;
    event.preventDefault();
    phone.openAndCall();
  }, { capture: true });
  if (window.location.hash === TALK) phone.open();
}

async function fetchWording() {
  const answer = await fetch("wording.json");
  if (!answer.ok) throw new Error(`wording.json: ${answer.status}`);
  return answer.json();
}

function textOf(company) {
  return Object.fromEntries(Object.entries(company).filter(([, value]) => typeof value === "string"));
}

start();
