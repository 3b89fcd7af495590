"""The line as the outside sees it: through its public address, and so through the tunnel or the proxy in front of it.

Asks what Twilio would ask, in ways that open no call: an unsigned request must be refused; a signed one, of a kind that has no effect
(the status of a call still on), must be taken; a websocket must be opened for a right signature alone, and is closed at once.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import requests
import websockets.client
from websockets.exceptions import InvalidStatusCode, WebSocketException

from throughline.errors import Problem
from throughline.simulate.twilio_webhooks import signature

VOICE, STATUS, MEDIA = "/webhooks/phone/voice", "/webhooks/phone/status", "/webhooks/phone/media"
_TIMEOUT_S = 10
LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - not bound to, but looked for
_NOBODY = "CA" + "0" * 32
_STATUS_HEADERS = {"User-Agent": "TwilioProxy/1.1"}


def reachable_by_twilio(public_url: str, url_env: str) -> list[Problem]:
    """Why Twilio cannot call this address; empty if it can."""
    parts = urlsplit(public_url)
    mend = f"Start a tunnel or put a proxy with a certificate in front, and set {url_env} to its https:// address."
    if parts.hostname in LOOPBACK:
        return [Problem(url_env, f"{public_url} is this machine alone; Twilio cannot reach it.", mend)]
    if parts.scheme != "https":
        return [Problem(url_env, f"{public_url} is not https: Media Streams needs TLS.", mend)]
    return []


class PublicLine:
    """One line's public address. ``found`` is what was found right, in words."""

    def __init__(self, public_url: str, account_sid: str, auth_token: str, *, token_env: str, url_env: str) -> None:
        """Without ``auth_token`` nothing is signed, and what only a signature shows is not looked at."""
        self._url = public_url
        self._account, self._token = account_sid, auth_token
        self._token_env, self._url_env = token_env, url_env
        self.found: list[str] = []

    def problems(self) -> list[Problem]:
        """Everything that is wrong, in the order in which it is to be mended."""
        problems = self._health()
        if problems:
            return problems  # nothing else can be right
        return [*self._unsigned(), *(self._signed() if self._token else []), *asyncio.run(self._websockets())]

    def _health(self) -> list[Problem]:
        url = f"{self._url}/health"
        try:
            answer = requests.get(url, timeout=_TIMEOUT_S, allow_redirects=False)
        except requests.exceptions.SSLError:
            return [Problem(url, "has no valid certificate.", "Let the tunnel or the proxy serve a certificate of that name.")]
        except requests.RequestException as error:
            mend = f"Start the line and what stands in front of it, or set {self._url_env} to the address it has now."
            return [Problem(url, f"does not answer ({type(error).__name__}).", mend)]
        if answer.is_redirect:
            to = answer.headers.get("Location", "")
            mend = f"Set {self._url_env} to the address that answers: signatures hold for the address Twilio was given."
            return [Problem(url, f"redirects to {to}.", mend)]
        if answer.status_code == requests.codes.unavailable:
            return [Problem(url, "is not ready.", "Wait until `throughline up` says so, or see its log in var/log/.")]
        if answer.status_code != requests.codes.ok or not _is_ours(answer):
            mend = "Point the tunnel or the proxy at the line's port, and let it pass every path unchanged."
            return [Problem(url, f"answers {answer.status_code}, and not as the line does.", mend)]
        self.found.append("reachable")
        return []

    def _unsigned(self) -> list[Problem]:
        url = self._url + VOICE
        status = self._post(url, {"CallSid": _NOBODY, "AccountSid": self._account, "From": "anonymous"}, signed=False)[0]
        if status == requests.codes.forbidden:
            self.found.append("refuses unsigned requests")
            return []
        if status == requests.codes.ok:
            return [Problem(url, "takes requests that nobody has signed.", "Run the line of this project behind that address.")]
        return [Problem(url, f"answers {status} to a webhook.", "Let the proxy pass POST requests below /webhooks/ unchanged.")]

    def _signed(self) -> list[Problem]:
        url = self._url + STATUS
        fields = {"CallSid": _NOBODY, "AccountSid": self._account, "CallStatus": "in-progress"}
        status, told = self._post(url, fields, signed=True)
        if 200 <= status < 300:
            self.found.append("takes signed ones")
            return []
        mend = f"Run the line with this {self._token_env} and with {self._url_env}={self._url}, and let no proxy change bodies."
        return [Problem(url, f"refuses a request with a right signature ({status} {told}).".replace(" )", ")"), mend)]

    def _post(self, url: str, fields: dict[str, str], *, signed: bool) -> tuple[int, str]:
        """Status and the beginning of the text; 0 for no answer."""
        headers = {"X-Twilio-Signature": signature(self._token, url, fields)} if signed else {}
        try:
            answer = requests.post(
                url, data=fields, headers={**_STATUS_HEADERS, **headers}, timeout=_TIMEOUT_S, allow_redirects=False
            )
        except requests.RequestException as error:
            return 0, type(error).__name__
        return answer.status_code, answer.text[:40] if answer.text.isidentifier() else ""

    async def _websockets(self) -> list[Problem]:
        url = self._url.replace("http", "ws", 1) + MEDIA
        unsigned = await _upgrade(url, {})
        if unsigned == 101:
            return [Problem(url, "opens for anybody.", "Run the line of this project behind that address.")]
        if not self._token:
            if unsigned == requests.codes.forbidden:
                self.found.append("refuses unsigned websockets")
                return []
            return [Problem(url, f"answers {unsigned} to a websocket.", _LET_WEBSOCKETS_THROUGH)]
        opened = await _upgrade(url, {"X-Twilio-Signature": signature(self._token, url)})
        if opened == 101:
            self.found.append("opens websockets for Twilio alone")
            return []
        if opened == requests.codes.forbidden:
            mend = f"Run the line with this {self._token_env} and with {self._url_env}={self._url}."
            return [Problem(url, "refuses a websocket with a right signature.", mend)]
        return [Problem(url, f"answers {opened} to a websocket.", _LET_WEBSOCKETS_THROUGH)]


_LET_WEBSOCKETS_THROUGH = "Let the tunnel or the proxy pass websockets (the headers Upgrade, Connection and Sec-WebSocket-*)."


async def _upgrade(url: str, headers: dict[str, str]) -> int:
    """The status with which the websocket is answered, 101 where it is opened (and closed again); 0 for no answer."""
    try:
        connecting = websockets.client.connect(url, extra_headers={**_STATUS_HEADERS, **headers}, close_timeout=2)
        socket = await asyncio.wait_for(connecting, _TIMEOUT_S)
    except InvalidStatusCode as refusal:
        return int(refusal.status_code)
    except (WebSocketException, OSError, asyncio.TimeoutError):
        return 0
    await socket.close()
    return 101


def _is_ours(answer: requests.Response) -> bool:
    try:
        return bool(answer.json().get("ready"))
    except (ValueError, AttributeError):
        return False
