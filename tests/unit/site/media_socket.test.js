import assert from "node:assert/strict";
import { test } from "node:test";
import { MediaSocket, newCall } from "../../../channels/site/media_socket.js";
import { encode } from "../../../channels/site/pcm.js";

const CALL = { token: "t0ken", streamSid: "MZ1", callSid: "CA1", accountSid: "AC0" };

class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  sent = [];

  open() {
    this.readyState = 1;
    this.onopen();
  }

  send(text) {
    assert.equal(this.readyState, 1, "nothing is sent on a socket that is not open");
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
    this.onclose();
  }

  say(message) {
    this.onmessage({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }
}

function connected() {
  const socket = new FakeSocket();
  const calls = [];
  const note = (name) => (...values) => calls.push([name, ...values]);
  const names = ["onMedia", "onMark", "onClear", "onCaption", "onState", "onEngine", "onClosed"];
  const media = new MediaSocket(socket, CALL, Object.fromEntries(names.map((name) => [name, note(name)])));
  return { socket, media, calls };
}

function started() {
  const all = connected();
  all.socket.open();
  all.socket.sent.length = 0;
  return all;
}

test("a call opens with connected and start, with the token and wideband audio", () => {
  const { socket } = connected();
  socket.open();
  assert.deepEqual(socket.sent, [
    { event: "connected", protocol: "Call", version: "1.0.0" },
    {
      event: "start",
      sequenceNumber: "1",
      streamSid: "MZ1",
      start: {
        accountSid: "AC0",
        streamSid: "MZ1",
        callSid: "CA1",
        tracks: ["inbound"],
        customParameters: { token: "t0ken" },
        mediaFormat: { encoding: "audio/l16", sampleRate: 16000, channels: 1 },
      },
    },
  ]);
});

test("frames carry their number and time as strings", () => {
  const { socket, media } = started();
  const samples = new Int16Array(320).fill(5);
  media.sendFrame(samples);
  media.sendFrame(samples);
  assert.deepEqual(socket.sent[1], {
    event: "media",
    sequenceNumber: "3",
    streamSid: "MZ1",
    media: { track: "inbound", chunk: "2", timestamp: "20", payload: encode(samples) },
  });
});

test("digits, marks, typed words and the hang-up", () => {
  const { socket, media, calls } = started();
  media.sendDigit("#");
  media.sendMark("turn-1");
  media.sendText("the dryer");
  media.hangUp();
  assert.deepEqual(socket.sent, [
    { event: "dtmf", sequenceNumber: "2", streamSid: "MZ1", dtmf: { track: "inbound_track", digit: "#" } },
    { event: "mark", sequenceNumber: "3", streamSid: "MZ1", mark: { name: "turn-1" } },
    { event: "text", text: "the dryer" },
    { event: "stop", sequenceNumber: "4", streamSid: "MZ1", stop: { accountSid: "AC0", callSid: "CA1" } },
  ]);
  assert.deepEqual(calls, [["onClosed"]]);
});

test("nothing is sent before the socket is open or after the end", () => {
  const { socket, media } = connected();
  media.sendFrame(new Int16Array(320));
  media.sendDigit("1");
  media.sendText("early");
  assert.deepEqual(socket.sent, []);
  socket.open();
  socket.close();
  const before = socket.sent.length;
  assert.equal(media.sendFrame(new Int16Array(320)), false);
  media.sendMark("late");
  media.hangUp();
  assert.equal(socket.sent.length, before);
});

test("sound is dropped while the network does not keep up, and its time goes on", () => {
  const { socket, media } = started();
  socket.bufferedAmount = 100000;
  assert.equal(media.sendFrame(new Int16Array(320)), false);
  socket.bufferedAmount = 0;
  assert.equal(media.sendFrame(new Int16Array(320)), true);
  assert.equal(socket.sent.length, 1);
  assert.equal(socket.sent[0].media.timestamp, "20");
  assert.equal(socket.sent[0].sequenceNumber, "2");
});

test("what the server says", () => {
  const { socket, calls } = started();
  socket.say({ event: "media", streamSid: "MZ1", media: { payload: encode(Int16Array.of(1, 2)) } });
  socket.say({ event: "mark", streamSid: "MZ1", mark: { name: "turn-1" } });
  socket.say({ event: "clear", streamSid: "MZ1" });
  socket.say({ event: "caption", who: "customer", text: "the dry", final: false });
  socket.say({ event: "state", state: "over", reason: "completed" });
  socket.say({ event: "engine", stt: "pocketsphinx", demo: true });
  assert.deepEqual(calls, [
    ["onMedia", Int16Array.of(1, 2)],
    ["onMark", "turn-1"],
    ["onClear"],
    ["onCaption", { who: "customer", text: "the dry", final: false }],
    ["onState", "over", "completed"],
    ["onEngine", { stt: "pocketsphinx", demo: true }],
  ]);
});

test("what a newer server may say is let pass", () => {
  const { socket, calls } = started();
  socket.say({ event: "something-new" });
  assert.deepEqual(calls, []);
});

for (const nonsense of ["not json", "null", "7", '{"event":"media"}', '{"event":"media","media":{"payload":"§"}}', '{"event":"mark"}']) {
  test(`whoever says ${nonsense} is hung up on`, () => {
    const { socket, calls } = started();
    socket.say(nonsense);
    assert.deepEqual(calls, [["onClosed"]]);
    assert.equal(socket.readyState, 3);
  });
}

test("the end is told once, however it comes", () => {
  const { socket, calls } = started();
  socket.onerror();
  socket.close();
  assert.deepEqual(calls, [["onClosed"]]);
});

test("every call has identifiers of its own, in the telephone's shape", () => {
  const [one, two] = [newCall(), newCall()];
  assert.notEqual(one.streamSid, two.streamSid);
  assert.match(one.streamSid, /^MZ[0-9a-f]{32}$/);
  assert.match(one.callSid, /^CA[0-9a-f]{32}$/);
  assert.match(one.accountSid, /^AC0{32}$/);
});
