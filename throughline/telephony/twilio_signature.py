"""Whether a request really comes from Twilio: its signature, checked against the public address and nothing the request says of itself.

Twilio signs the address it was given, and for a POST every field of the body, with the account's token. The computation is the SDK's;
what this file adds is what the signature alone leaves open: a field named twice (only distinct values are signed), text
moved between a field and its neighbour (names and values are signed without a mark between them), bodies and fields without bound.

Source: twilio.com/docs/usage/security (validating signatures from Twilio).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator

from throughline.errors import Rejected

MAX_BODY_BYTES = 16 * 1024
_MAX_FIELDS = 200
_NAME = re.compile(r"[A-Z][A-Za-z0-9_-]{0,99}")
_SID = {"CallSid": re.compile(r"CA[0-9a-f]{32}"), "AccountSid": re.compile(r"AC[0-9a-f]{32}")}
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{27}=")  # HMAC-SHA1 in base64


class TwilioSignature:
    """One account's signatures."""

    def __init__(self, account_sid: str, auth_token: str) -> None:
        self._account_sid = account_sid
        self._validator = RequestValidator(auth_token)

    def fields(self, url: str, body: bytes, signature: str) -> dict[str, str]:
        """The fields of a webhook that was posted to the public address ``url``, once its signature is found right.

        Raises Rejected("no_signature"|"bad_signature"|"bad_body"|"other_account").
        """
        found = _parsed(body)
        self._check(url, found, signature)
        if found.get("AccountSid") != self._account_sid:
            raise Rejected("other_account")
        for name, pattern in _SID.items():
            if not pattern.fullmatch(found.get(name, "")):
                raise Rejected("bad_body", name)
        return found

    def check_upgrade(self, url: str, signature: str) -> None:
        """A websocket is opened at the public address ``url`` (``wss://``). Raises Rejected("no_signature"|"bad_signature")."""
        self._check(url, {}, signature)

    def _check(self, url: str, found: Mapping[str, str], signature: str) -> None:
        if not signature:
            raise Rejected("no_signature")
        if not _SIGNATURE.fullmatch(signature):
            raise Rejected("bad_signature")
        # With and without the port: what Twilio signs depends on who wrote the address.
        right = [self._validator.compute_signature(known, found) for known in (url, _with_port(url))]
        if not any(hmac.compare_digest(one, signature) for one in right):
            raise Rejected("bad_signature")


def digests(url: str, signature: str, idempotency_token: str) -> list[str]:
    """By what a request is known when it comes again: its signed content, and the name Twilio gave it where it has one."""
    names = [f"signed:{url}:{signature}"]
    if idempotency_token:
        names.append(f"named:{idempotency_token[:200]}")
    return [hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest() for name in names]


def _parsed(body: bytes) -> dict[str, str]:
    if len(body) > MAX_BODY_BYTES:
        raise Rejected("bad_body", "too long")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:  # also what is no UTF-8, and too many fields
        raise Rejected("bad_body", "no form") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Rejected("bad_body", "a field twice")
    if not all(_NAME.fullmatch(name) for name in found):
        raise Rejected("bad_body", "a field's name")
    return found


def _with_port(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if ":" in host.rpartition("]")[2]:  # the brackets of an IPv6 address hold colons too
        return url
    port = 80 if scheme in ("http", "ws") else 443
    return f"{scheme}://{host}:{port}{slash}{path}"
