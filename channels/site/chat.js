/**
 * Rasa's community chat widget (rasa-webchat 1.0.1), mounted at the bottom right. Its colours are in chat.css.
 *
 * The server issues the session id; the widget keeps it, with the conversation, in localStorage under "chat_session" and asks for it again
 * after a reload. This file turns off what the widget would do by itself (rules, tooltips, links through other sites) and gives its parts
 * the names that a screen reader needs.
 */

import { PageLink } from "./link.js";
import { loginToken } from "./login.js";

const STORED = "chat_session";
const LOAD_TIMEOUT_MS = 20000;

// The widget sends it along with every message, and reads it anew each time.
const CUSTOM_DATA = {
  get token() {
    return loginToken() ?? undefined;
  },
};

/** The session's id, or null before there is one. */
export function sessionId() {
  return stored()?.session_id ?? null;
}

/** True once anything has been said in the chat. */
export function hasConversation() {
  return (stored()?.conversation ?? []).some((message) => !message.hidden);
}

/** The server no longer knows the session of what is kept here: what was said in it is not this conversation. */
function forgetOther(confirmedId) {
  if (sessionId() !== null && sessionId() !== confirmedId) localStorage.removeItem(STORED);
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORED));
  } catch {
    return null; // not ours, or no storage: then there is no session
  }
}

/**
 * Load and mount the widget.
 * @param {HTMLElement} element @param {object} words the `chat` part of the wording
 * @param {{onSession: () => void, onMessage: () => void, onNotice: (text: string) => void, onLink: () => void, onLost: () => void}} callbacks
 *   onNotice gets what the server says while there is no session: why it gives none; onLink is called once the link by which the page was
 *   opened has led to its conversation, or was refused
 * @returns {Promise<void>} rejects when the widget's file can't be loaded
 */
export async function mountChat(element, words, { onSession, onMessage, onNotice, onLink, onLost }) {
  const widget = await loadWidget();
  // A window opened for the first time while there is no connection would open a second socket and show everything twice:
  // until it is connected the widget stays away, unless it is open already; then it stays, with a note.
  let connected = false;
  const draw = (isConnected) => {
    connected = isConnected;
    const hide = !connected && !isOpen();
    widget.default(settings(words, hide, events), element);
  };
  const link = new PageLink(window);
  let socket = null;
  const bringLink = (session) => link.bring(socket, session, loginToken() ?? undefined, onLink);
  const events = {
    // The widget calls this with its socket as `this`, before it asks for its session itself, which it can only do without a login.
    connect() {
      socket = this;
      const token = loginToken();
      if (token !== null) this.emit("session_request", { session_id: sessionId(), customData: { token } });
    },
    session_confirm: (confirmed) => {
      const session = confirmed?.session_id ?? confirmed;
      forgetOther(session); // this runs before the widget's own handler
      draw(true);
      onSession();
      bringLink(session);
    },
    bot_uttered: (message) => (connected ? onMessage() : onNotice(message?.text ?? "")),
    disconnect: () => {
      draw(false);
      link.lost();
      onLost();
    },
  };
  // The link may be opened in a page that is there already: that loads nothing anew.
  window.addEventListener("hashchange", () => connected && bringLink(sessionId()));
  new MutationObserver(() => name(element, words)).observe(element, { childList: true, subtree: true });
  draw(false);
}

/** Open the chat window, if it is there and closed. @returns {boolean} whether it is open now */
export function openChat() {
  if (!isOpen()) document.querySelector(".rw-launcher")?.click();
  const input = document.querySelector(".rw-new-message");
  input?.focus();
  return input !== null;
}

function isOpen() {
  return document.querySelector(".rw-conversation-container") !== null;
}

function settings(words, hideWhenNotConnected, onSocketEvent) {
  return {
    title: words.title,
    subtitle: words.subtitle,
    inputTextFieldHint: words.hint,
    connectingText: words.connecting,
    profileAvatar: "logo.svg",
    openLauncherImage: "launcher.svg",
    closeImage: "close.svg",
    socketUrl: window.location.origin,
    socketPath: "/socket.io",
    protocol: "socketio",
    customData: CUSTOM_DATA,
    params: { storage: "local" },
    withRules: false,
    disableTooltips: true,
    docViewer: false,
    showFullScreenButton: false,
    displayUnreadCount: true,
    hideWhenNotConnected,
    customMessageDelay: (text) => Math.min(600, 150 + text.length * 3),
    onSocketEvent,
  };
}

function loadWidget() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const fail = () => reject(new Error("the chat widget could not be loaded"));
    const timer = setTimeout(fail, LOAD_TIMEOUT_MS);
    script.src = "vendor/rasa-webchat.js";
    script.onload = () => {
      clearTimeout(timer);
      if (window.WebChat?.default) resolve(window.WebChat);
      else fail();
    };
    script.onerror = fail;
    document.head.append(script);
  });
}

function name(element, words) {
  label(element.querySelector(".rw-launcher"), words.open);
  label(element.querySelector(".rw-close-button"), words.close);
  label(element.querySelector(".rw-send"), words.send);
  label(element.querySelector(".rw-new-message"), words.hint);
  const messages = element.querySelector(".rw-messages-container");
  label(messages, words.messages);
  messages?.setAttribute("role", "log");
  for (const reply of element.querySelectorAll("div.rw-reply:not([role])")) makeButton(reply);
}

function label(element, text) {
  if (element && element.getAttribute("aria-label") !== text) element.setAttribute("aria-label", text);
}

function makeButton(reply) {
  reply.setAttribute("role", "button");
  reply.tabIndex = 0;
  reply.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    reply.click();
  });
}
