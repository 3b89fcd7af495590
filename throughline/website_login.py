"""The website's signed login: who a chat belongs to, said by the website and by nobody else.

A page whose visitor is logged in passes a JSON Web Token (RFC 7519) along; the channels hand it to ``WebsiteLogin.verify`` before they open
or take up a session with it. What always holds: one algorithm, the configured one, with one key, the configured one, whatever the token's
header says (RFC 8725, section 3.1); ``iss``, ``aud``, ``sub`` and ``exp`` are there and right; time is passed in; neither a token nor a
``sub`` stands in an error, a log line or a ``repr``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.types import Options

from throughline.errors import ConfigurationError, Problem, Rejected
from throughline.settings.server import FILE, KEY, LoginSettings

MAX_TOKEN_CHARS = 4096
MAX_SUBJECT_CHARS = 255  # OpenID Connect Core, section 2
LEAST_SECRET_BYTES = 32  # RFC 7518, section 3.2: as long as the hash
LEAST_RSA_BITS = 2048  # RFC 7518, section 3.3

_ADDRESS_CHARS = 255  # the record's addresses are no longer
_OPTIONS: Options = {
    "require": ["exp", "sub", "aud", "iss"],
    # Times are judged below, by the clock of whoever asks; PyJWT would ask its own.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


@dataclass(frozen=True)
class Login:
    """Who has logged in. ``account`` names issuer and subject unambiguously, in 255 characters or fewer: it is the address (kind
    ``account``) of their contact. ``good_until_s`` is a Unix time, the leeway included."""

    account: str = field(repr=False)
    good_until_s: float

    def expired(self, now_s: float) -> bool:
        """Whether the token is over."""
        return now_s >= self.good_until_s


class WebsiteLogin:
    """Checks the tokens of one website."""

    def __init__(self, *, issuer: str, audience: str, algorithm: str, key: bytes | RSAPublicKey, leeway_s: int) -> None:
        self._issuer = issuer
        self._audience = audience
        self._algorithm = algorithm
        self._key = key
        self._leeway_s = leeway_s

    def verify(self, token: object, now_s: float) -> Login:
        """Whom ``token`` was issued to, at the Unix time ``now_s``. Raises Rejected("expired_login"|"bad_login"), whose detail names the
        kind of fault alone."""
        if not isinstance(token, str) or not token.isascii() or len(token) > MAX_TOKEN_CHARS:
            raise Rejected("bad_login", "not a token")
        try:
            decoded = jwt.decode_complete(
                token,
                self._key,
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options=_OPTIONS,
            )
        except jwt.PyJWTError as error:
            # Its text may quote the token. `from None`: nobody logs what it was raised from.
            raise Rejected("bad_login", type(error).__name__) from None
        if "crit" in decoded["header"]:  # RFC 7515, section 4.1.11: we understand no extension
            raise Rejected("bad_login", "crit")
        claims = decoded["payload"]
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS or not subject.isprintable():
            raise Rejected("bad_login", "sub")
        good_until_s = _moment(claims, "exp") + self._leeway_s
        for name in ("nbf", "iat"):
            if name in claims and _moment(claims, name) > now_s + self._leeway_s:
                raise Rejected("bad_login", name)
        login = Login(account_address(self._issuer, subject), good_until_s)
        if login.expired(now_s):
            raise Rejected("expired_login")
        return login


def account_address(issuer: str, subject: str) -> str:
    """The address of the account ``subject`` at ``issuer``: a JSON list of the two, or its SHA-256 where that is too long. No two accounts
    have the same one: a list begins with a bracket, a digest does not."""
    both = json.dumps([issuer, subject], ensure_ascii=False, separators=(",", ":"))
    return both if len(both) <= _ADDRESS_CHARS else "sha256:" + hashlib.sha256(both.encode()).hexdigest()


def website_login(settings: LoginSettings, environ: Mapping[str, str] = os.environ) -> WebsiteLogin | None:
    """The login that the settings describe; None where no issuer is set, and so nobody logs in.
    Raises ConfigurationError with every fault found."""
    if not settings.issuer:
        if settings.audience or settings.public_key:
            raise ConfigurationError(
                [_problem("issuer", "is missing, and so nobody can log in.", "Set the `iss` of the tokens.")]
            )
        return None
    problems = []
    if not settings.audience:
        problems.append(
            _problem("audience", "is missing.", "Set what the tokens' `aud` names, for example this chat's address.")
        )
    try:
        key = _secret(settings, environ) if settings.algorithm == "HS256" else _public_key(settings)
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return WebsiteLogin(
        issuer=settings.issuer,
        audience=settings.audience,
        algorithm=settings.algorithm,
        key=key,
        leeway_s=settings.leeway_s,
    )


def _moment(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519, section 2)."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Rejected("bad_login", name)
    try:
        moment = float(value)
    except OverflowError:  # a whole number of some hundred digits
        raise Rejected("bad_login", name) from None
    if not math.isfinite(moment):
        raise Rejected("bad_login", name)
    return moment


def _secret(settings: LoginSettings, environ: Mapping[str, str]) -> bytes:
    variable = settings.secret_env
    secret = environ.get(variable, "").encode()
    mend = f"Put {LEAST_SECRET_BYTES} random bytes or more into {variable}, and give the website the same."
    if not secret:
        raise ConfigurationError([_problem("secret_env", f"{variable} is not set.", mend)])
    if len(secret) < LEAST_SECRET_BYTES:
        raise ConfigurationError([_problem("secret_env", f"{variable} holds only {len(secret)} bytes.", mend)])
    try:
        jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError:  # a public key is known to others: whoever has it could sign
        raise ConfigurationError([_problem("secret_env", f"{variable} holds a key file, no secret.", mend)]) from None
    return secret


def _public_key(settings: LoginSettings) -> RSAPublicKey:
    file = Path(settings.public_key)
    mend = "Name the PEM file of the website's RSA public key (`-----BEGIN PUBLIC KEY-----`)."
    if not settings.public_key:
        raise ConfigurationError([_problem("public_key", "is missing.", mend)])
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise ConfigurationError([_problem("public_key", f"{file} can't be read ({error.strerror}).", mend)]) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError([_problem("public_key", f"{file} holds no public key.", mend)]) from None
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_RSA_BITS:
        raise ConfigurationError([_problem("public_key", f"{file} is no RSA key of {LEAST_RSA_BITS} bits or more.", mend)])
    return key


def _problem(name: str, what: str, mend: str) -> Problem:
    return Problem(f"{FILE} {KEY}.login.{name}", what, mend)
