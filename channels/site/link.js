/**
 * The link by which a customer comes here from a call: `#link=...` in the page's address, as it was sent to their telephone.
 *
 * It opens once. It stays in the address until the server has said what became of it, so that a page whose connection fails tries again, and
 * after a reload too; then it goes, and is neither bookmarked nor passed on.
 */

const MARK = "#link=";

export class PageLink {
  /** @param {{location: Location, history: History}} page the browser's window */
  constructor(page) {
    this.page = page;
    this.underWay = null;
  }

  /** @returns {string | null} what the link has as its secret */
  get secret() {
    const { hash } = this.page.location;
    return (hash.startsWith(MARK) && hash.slice(MARK.length)) || null;
  }

  /**
   * Bring the link to the server, if there is one and it is not on its way.
   * @param {{emit: Function}} socket @param {string} sessionId the visit that brings it @param {string | undefined} token the login's
   * @param {() => void} onTold called once the server has said what became of it
   */
  bring(socket, sessionId, token, onTold) {
    const secret = this.secret;
    if (secret === null || secret === this.underWay) return;
    this.underWay = secret;
    socket.emit("session_request", { session_id: sessionId, customData: { token, link: secret } }, (answer) => {
      this.underWay = null;
      if (isSettled(answer?.link)) this.forget(secret);
      if (answer?.link) onTold();
    });
  }

  /** The connection was lost: nobody knows whether the link has arrived. */
  lost() {
    this.underWay = null;
  }

  forget(secret) {
    const { location, history } = this.page;
    if (this.secret === secret) history.replaceState(history.state, "", location.pathname + location.search);
  }
}

/** Opened or refused for good; anything else may go better the next time. */
function isSettled(outcome) {
  return outcome === "opened" || (outcome ?? "").endsWith("_link");
}
