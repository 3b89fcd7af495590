import assert from "node:assert/strict";
import { test } from "node:test";
import { PageLink } from "../../../channels/site/link.js";

const SECRET = "Abc_-123";

/** A page at an address, and the socket it talks over. `answer` is the server's, to the latest request. */
function opened(hash) {
  const location = { hash, pathname: "/demo/", search: "?from=text" };
  const history = {
    state: null,
    replaceState(_state, _title, address) {
      location.hash = address.includes("#") ? address.slice(address.indexOf("#")) : "";
      location.now = address;
    },
  };
  const socket = {
    sent: [],
    emit(event, data, answer) {
      this.sent.push([event, data]);
      this.answer = answer;
    },
  };
  const page = { location, socket, told: 0, link: new PageLink({ location, history }) };
  page.bring = (session = "s1", token = undefined) => page.link.bring(socket, session, token, () => (page.told += 1));
  return page;
}

test("the link comes along with the session and the login", () => {
  const page = opened(`#link=${SECRET}`);
  page.bring("s1", "a.b.c");
  assert.deepEqual(page.socket.sent, [["session_request", { session_id: "s1", customData: { token: "a.b.c", link: SECRET } }]]);
});

for (const hash of ["", "#", "#link=", "#prices", "#talk", "#Link=a"]) {
  test(`a page at "${hash}" brings none`, () => {
    const page = opened(hash);
    page.bring();
    assert.deepEqual(page.socket.sent, []);
  });
}

for (const outcome of ["opened", "used_link", "expired_link", "unknown_link", "account_link"]) {
  test(`once it is ${outcome} the address forgets it and nothing else`, () => {
    const page = opened(`#link=${SECRET}`);
    page.bring();
    page.socket.answer({ link: outcome });
    assert.equal(page.location.now, "/demo/?from=text");
    assert.equal(page.told, 1);
    page.bring();
    assert.equal(page.socket.sent.length, 1);
  });
}

for (const answer of [{ link: "unavailable" }, { link: "too_fast" }, {}, null, undefined]) {
  test(`after ${JSON.stringify(answer)} it stays, to be brought again`, () => {
    const page = opened(`#link=${SECRET}`);
    page.bring();
    page.socket.answer(answer);
    assert.equal(page.location.hash, `#link=${SECRET}`);
    page.bring();
    assert.equal(page.socket.sent.length, 2);
  });
}

test("while it is on its way it is not brought again", () => {
  const page = opened(`#link=${SECRET}`);
  page.bring();
  page.bring("s2");
  assert.equal(page.socket.sent.length, 1);
});

test("a connection that is lost meanwhile leaves it in the address, and the next one brings it", () => {
  const page = opened(`#link=${SECRET}`);
  page.bring();
  page.link.lost();
  assert.equal(page.location.hash, `#link=${SECRET}`);
  page.bring();
  assert.equal(page.socket.sent.length, 2);
});

test("another link that is opened in the page meanwhile is brought too", () => {
  const page = opened(`#link=${SECRET}`);
  page.bring();
  page.location.hash = "#link=another";
  page.bring();
  page.socket.answer({ link: "opened" });
  assert.equal(page.location.hash, "");
  assert.equal(page.socket.sent.length, 2);
});
