/**
 * Puts the words of wording.json into the page. The markup names them, no script holds any:
 *
 *   data-say="hero.title"            becomes the element's text
 *   data-say-label / -placeholder    becomes its aria-label / placeholder
 *   data-link, data-icon             becomes where it leads / which picture of icons.svg it shows
 *   data-each="services.items"       its <template> is repeated for every item; inside, "@title" is the item's own title
 *
 * `{name}` in a sentence is replaced by a value. Words are only ever set as text, never as markup.
 */

/** The words at a dotted path. Throws when there are none: a missing sentence is a fault of wording.json, not something to hide. */
export function lookUp(words, path) {
  const found = path.split(".").reduce((node, key) => node?.[key], words);
  if (found === undefined) throw new Error(`wording.json has nothing at "${path}"`);
  return found;
}

/** @param {string} sentence @param {Record<string, string>} values @returns {string} */
export function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/**
 * Fill everything under `root`.
 * @param {ParentNode} root @param {object} words @param {Record<string, string>} values @param {object} [item] what "@..." refers to
 */
export function say(root, words, values, item = {}) {
  const text = (path) => {
    const found = path.startsWith("@") ? lookUp(item, path.slice(1)) : lookUp(words, path);
    return fill(String(found), values);
  };
  for (const list of root.querySelectorAll("[data-each]")) repeat(list, words, values);
  for (const [name, set] of Object.entries(PLACES)) {
    for (const element of root.querySelectorAll(`[data-${name}]`)) {
      set(element, text(element.getAttribute(`data-${name}`)));
      element.removeAttribute(`data-${name}`); // said: an item's words must not be looked up again in the whole page's
    }
  }
}

const PLACES = {
  say: (element, text) => { element.textContent = text; },
  "say-label": (element, text) => element.setAttribute("aria-label", text),
  "say-placeholder": (element, text) => element.setAttribute("placeholder", text),
  link: (element, text) => element.setAttribute("href", text),
  icon: (element, text) => element.setAttribute("href", `icons.svg#${text}`),
};

function repeat(list, words, values) {
  const template = list.querySelector("template");
  for (const item of lookUp(words, list.dataset.each)) {
    const copy = template.content.cloneNode(true);
    say(copy, words, values, item);
    list.append(copy);
  }
}
