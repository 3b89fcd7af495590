/**
 * What the page says of the company's prices, hours and area: always the server's word (/demo/company.json), never a copy in the page.
 *
 * The pure half turns the facts into words; the other half writes them where the markup asks (`data-company`). Where a fact is missing the
 * page says so politely (`data-missing`) and stays whole.
 */

import { fill } from "./wording.js";

const PATIENCE_MS = 3000; // the page's words wait for these facts

/**
 * @typedef {object} Company
 * @property {string} [name] @property {string} [tagline] @property {string} [phone]
 * @property {{days: string, opens: string | null, closes: string | null}[]} [hours] times as "HH:MM", null where closed
 * @property {(string | {name: string, note?: string})[]} [territories]
 * @property {{name: string, price: string | number, note?: string}[]} [prices]
 */

/** @returns {Promise<Company>} what the server knows; nothing, when it can't be asked */
export async function fetchCompany() {
  try {
    const answer = await fetch("company.json", { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`company.json: ${answer.status}`);
    return await answer.json();
  } catch (error) {
    console.warn("the company's facts could not be fetched", error);
    return {};
  }
}

/** @param {string} time "HH:MM" @param {string} locale @returns {string} as people write it there; anything else stays as it is */
export function clockTime(time, locale = "en-US") {
  const match = /^([01]?\d|2[0-4]):([0-5]\d)$/.exec(time);
  if (match === null) return time;
  const at = new Date(2000, 0, 1, Number(match[1]) % 24, Number(match[2]));
  return at.toLocaleTimeString(locale, { hour: "numeric", minute: at.getMinutes() === 0 ? undefined : "2-digit" });
}

/** @param {string | number} price @returns {string} */
export function priceText(price, locale = "en-US", currency = "USD") {
  if (typeof price !== "number") return String(price);
  const cents = Number.isInteger(price) ? 0 : 2;
  return price.toLocaleString(locale, { style: "currency", currency, minimumFractionDigits: cents, maximumFractionDigits: cents });
}

/** @param {string} phone @returns {string} what a telephone dials */
export function dialled(phone) {
  return `tel:${phone.replace(/[^\d+]/g, "")}`;
}

/** Write the facts into the page. @param {Document} page @param {Company} company @param {object} words the `hours` part of the wording */
export function showCompany(page, company, words) {
  const shown = {
    prices: showPrices(page.querySelector("[data-company=prices] tbody"), company.prices ?? []),
    territories: showTerritories(page.querySelector("[data-company=territories]"), company.territories ?? []),
    hours: showHours(page.querySelector("[data-company=hours]"), company.hours ?? [], words),
  };
  for (const [fact, known] of Object.entries(shown)) {
    page.querySelector(`[data-company=${fact}]`).hidden = !known;
    page.querySelector(`[data-missing=${fact}]`).hidden = known;
  }
  const call = page.querySelector("[data-company=phone]");
  call.hidden = !company.phone;
  if (company.phone) call.href = dialled(company.phone);
}

function showPrices(body, prices) {
  for (const { name, price, note } of prices) {
    const row = body.insertRow();
    const head = append(row, "th", name);
    head.scope = "row";
    if (note) append(head, "small", note);
    append(row, "td", priceText(price));
  }
  return prices.length > 0;
}

function showTerritories(list, territories) {
  for (const territory of territories) {
    const item = append(list, "li", typeof territory === "string" ? territory : territory.name);
    if (territory.note) append(item, "small", territory.note);
  }
  return territories.length > 0;
}

function showHours(list, hours, words) {
  for (const { days, opens, closes } of hours) {
    append(list, "dt", days);
    const open = opens && closes;
    append(list, "dd", open ? fill(words.span, { opens: clockTime(opens), closes: clockTime(closes) }) : words.closed);
  }
  return hours.length > 0;
}

function append(parent, tag, text) {
  const element = parent.ownerDocument.createElement(tag);
  element.textContent = text;
  parent.append(element);
  return element;
}
