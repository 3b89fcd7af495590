import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { clockTime, dialled, priceText } from "../../../channels/site/company.js";
import { fill, lookUp } from "../../../channels/site/wording.js";

const site = new URL("../../../channels/site/", import.meta.url);
const words = JSON.parse(await readFile(new URL("wording.json", site), "utf8"));
const markup = await readFile(new URL("index.html", site), "utf8");

test("every word the markup names is in wording.json", () => {
  const named = [...markup.matchAll(/data-(?:say|say-label|say-placeholder|each)="([^"@]+)"/g)].map((match) => match[1]);
  assert.ok(named.length > 40);
  for (const path of named) assert.ok(lookUp(words, path) !== undefined, path);
});

test("every word the markup names of an item is there for every item", () => {
  for (const [, list, template] of markup.matchAll(/data-each="([^"]+)">\s*<template>(.*?)<\/template>/gs)) {
    const named = [...template.matchAll(/data-[a-z-]+="@([^"]+)"/g)].map((match) => match[1]);
    assert.ok(named.length > 0, list);
    for (const item of lookUp(words, list)) for (const key of named) assert.equal(typeof item[key], "string", `${list}: ${key}`);
  }
});

test("every state of a call has its words", () => {
  for (const state of ["closed", "asking", "ringing", "listening", "thinking", "speaking", "over", "lost", "refused"]) {
    assert.ok(words.phone.states[state], state);
    assert.ok(["over", "refused"].includes(state) || words.phone.details[state] !== undefined, state);
  }
});

test("the markup holds no words of its own, but for the browser that runs no script", () => {
  const body = markup.slice(markup.indexOf("<body>")).replace(/<noscript>.*?<\/noscript>/s, "");
  assert.equal(body.replace(/<[^>]*>/g, "").trim(), "");
});

test("nothing comes from another host and no script stands in the page", () => {
  assert.doesNotMatch(markup, /(?:src|href)="(?:https?:)?\/\//);
  assert.doesNotMatch(markup, /<script(?![^>]*src=)|\son\w+=|style="/);
});

test("a missing word is a fault, not an empty place", () => {
  assert.throws(() => lookUp(words, "phone.nothing.here"), /phone\.nothing\.here/);
});

test("values are filled in, and what is unknown stays as it is", () => {
  assert.equal(fill("Call {phone}, {else}", { phone: "503" }), "Call 503, {else}");
});

test("times are written as people write them", () => {
  assert.equal(clockTime("08:00").replace(/\s/, " "), "8 AM");
  assert.equal(clockTime("17:30").replace(/\s/, " "), "5:30 PM");
  assert.equal(clockTime("noon"), "noon");
});

test("prices are written in full dollars where they are", () => {
  assert.equal(priceText(89), "$89");
  assert.equal(priceText(89.5), "$89.50");
  assert.equal(priceText("from $120"), "from $120");
});

test("a telephone dials digits only", () => {
  assert.equal(dialled("+1 (503) 555-0142"), "tel:+15035550142");
});
