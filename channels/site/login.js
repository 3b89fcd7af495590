/**
 * The visitor's login at the website that this page belongs to.
 *
 * A page whose visitors can log in defines `window.websiteLogin`: a function that returns the token which the website has signed for this
 * visitor, or null for one who is not logged in. It is asked whenever something is sent, so it may return a newer token each time: a token
 * that has run out is refused. This page keeps none. Without the function everybody is anonymous.
 */

/** @returns {string | null} the token of now */
export function loginToken() {
  return window.websiteLogin?.() ?? null;
}
