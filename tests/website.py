"""The company's website, as the tests have it: what it issues to customers who log in, and what others might make up."""

from __future__ import annotations

import time
from typing import Any

import jwt

SECRET = "the secret of the tests' website, which nobody else has"  # noqa: S105 - and for nothing else
ISSUER, AUDIENCE = "https://www.harbor.example", "https://chat.harbor.example"
ORIGIN = ISSUER


def login_token(subject: str = "dana", *, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """What the website would issue to ``subject``; good for a minute."""
    issued = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": time.time() + 60, **claims}
    return jwt.encode({name: value for name, value in issued.items() if value is not None}, secret, algorithm=algorithm)


def bad_tokens() -> dict[str, str]:
    """Tokens that let nobody in, by what is wrong with each."""
    good = login_token()
    header, payload, signature = good.split(".")
    other_payload = login_token("emil").split(".")[1]
    return {
        "expired": login_token(exp=time.time() - 3600),
        "no exp": login_token(exp=None),
        "no aud": login_token(aud=None),
        "no iss": login_token(iss=None),
        "no sub": jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 60}, SECRET, algorithm="HS256"),
        "other aud": login_token(aud="https://other.example"),
        "other iss": login_token(iss="https://other.example"),
        "not yet": login_token(nbf=time.time() + 3600),
        "other secret": login_token(secret="another secret of a good length, 32 bytes and more"),  # noqa: S106
        "other algorithm": login_token(secret=SECRET * 2, algorithm="HS512"),
        "unsigned": jwt.encode(
            {"iss": ISSUER, "aud": AUDIENCE, "sub": "dana", "exp": time.time() + 60}, None, algorithm="none"
        ),
        "signature cut off": f"{header}.{payload}.",
        "another's payload": f"{header}.{other_payload}.{signature}",
        "huge": login_token(note="n" * 4000),
        "no token": "let me in",
    }
