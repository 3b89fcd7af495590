/**
 * Copies the chat widget from node_modules into the demo site, without the fonts it would fetch from another host.
 *
 * Run by `npm run vendor` after `npm ci`. The copy is not committed. Stops with a reason when the bundle is not the one it knows.
 */

import { mkdir, readFile, writeFile } from "node:fs/promises";

const BUNDLE = new URL("../node_modules/rasa-webchat/lib/index.js", import.meta.url);
const TARGET = new URL("./site/vendor/rasa-webchat.js", import.meta.url);
const REMOTE_FONT = /@import url\(https:\/\/fonts[^)]*\);/g;

const bundle = await readFile(BUNDLE, "utf8");
const own = bundle.replaceAll(REMOTE_FONT, "");
if (!own.includes("session_confirm") || /@import url\(["']?https?:/.test(own)) {
  throw new Error(`${BUNDLE.pathname} is not the chat widget this site was made for`);
}
await mkdir(new URL(".", TARGET), { recursive: true });
await writeFile(TARGET, own);
console.log(`channels/site/vendor/rasa-webchat.js: ${Math.round(own.length / 1024)} KB`);
