"""The website's tokens: whom they let in, and that nothing else does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from throughline.errors import ConfigurationError, Rejected
from throughline.settings.server import LoginSettings
from throughline.website_login import MAX_TOKEN_CHARS, WebsiteLogin, account_address, website_login

pytestmark = pytest.mark.unit

NOW_S = 1_790_000_000.0
SECRET = "a secret of the tests, long enough for HMAC with any hash up to SHA-512"  # noqa: S105
ISSUER, AUDIENCE, SUBJECT = "https://www.harbor.example", "https://chat.harbor.example", "customer-4711"
LEEWAY_S = 30
CLAIMS: Mapping[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "exp": NOW_S + 600, "iat": NOW_S}


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def public_pem(private_key: rsa.RSAPrivateKey) -> bytes:
    return private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def by_secret() -> WebsiteLogin:
    return WebsiteLogin(issuer=ISSUER, audience=AUDIENCE, algorithm="HS256", key=SECRET.encode(), leeway_s=LEEWAY_S)


@pytest.fixture
def by_public_key(private_key: rsa.RSAPrivateKey) -> WebsiteLogin:
    key = private_key.public_key()
    return WebsiteLogin(issuer=ISSUER, audience=AUDIENCE, algorithm="RS256", key=key, leeway_s=LEEWAY_S)


def token(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token of CLAIMS with others in their place; a claim that is None is left out."""
    payload = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers=headers)


def by_hand(header: dict[str, Any], payload: Any, sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    signed = b".".join(_part(json.dumps(part).encode()) for part in (header, payload))
    return (signed + b"." + _part(sign(signed))).decode()


def _part(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def hmac_of(key: bytes) -> Callable[[bytes], bytes]:
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return lambda message: algorithm.sign(message, key)


def test_a_token_of_the_website_tells_whose_it_is_and_how_long(by_secret: WebsiteLogin) -> None:
    login = by_secret.verify(token(), NOW_S)
    assert login.account == account_address(ISSUER, SUBJECT)
    assert login.good_until_s == NOW_S + 600 + LEEWAY_S


def test_with_a_public_key_as_well(by_public_key: WebsiteLogin, private_key: rsa.RSAPrivateKey) -> None:
    assert by_public_key.verify(token(private_key, "RS256"), NOW_S).account == account_address(ISSUER, SUBJECT)


def test_an_audience_may_be_one_of_several(by_secret: WebsiteLogin) -> None:
    assert by_secret.verify(token(aud=["https://other.example", AUDIENCE]), NOW_S)


@pytest.mark.parametrize("name", ["exp", "sub", "aud", "iss"])
def test_each_claim_is_needed(by_secret: WebsiteLogin, name: str) -> None:
    with pytest.raises(Rejected, match="bad_login"):
        by_secret.verify(token(**{name: None}), NOW_S)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://chat.harbor.example.evil.example"},
        {"aud": []},
        {"aud": ["https://other.example"]},
        {"aud": 7},
        {"iss": "https://www.harbor.example.evil.example"},
        {"iss": "https://www.harbor"},
        {"sub": ""},
        {"sub": 4711},
        {"sub": ["customer-4711"]},
        {"sub": {"id": 1}},
        {"sub": "a" * 256},
        {"sub": "customer\n4711"},
        {"sub": "customer\x004711"},
        {"sub": "customer\u202e4711"},
        {"sub": "half a pair \ud800"},
        {"exp": "2030-01-01"},
        {"exp": str(int(NOW_S) + 600)},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": 10**400},
        {"exp": [NOW_S + 600]},
        {"nbf": NOW_S + LEEWAY_S + 1},
        {"iat": NOW_S + LEEWAY_S + 1},
        {"nbf": "later"},
        {"iat": False},
    ],
    ids=str,
)
def test_wrong_claims_are_refused(by_secret: WebsiteLogin, claims: dict[str, Any]) -> None:
    signed = by_hand({"alg": "HS256", "typ": "JWT"}, {**CLAIMS, **claims}, hmac_of(SECRET.encode()))
    with pytest.raises(Rejected, match="bad_login"):
        by_secret.verify(signed, NOW_S)


def test_an_expired_token_is_told_from_a_wrong_one(by_secret: WebsiteLogin) -> None:
    login = by_secret.verify(token(exp=NOW_S), NOW_S + LEEWAY_S - 1)
    assert not login.expired(NOW_S + LEEWAY_S - 1)
    assert login.expired(NOW_S + LEEWAY_S)
    for now_s in (NOW_S + LEEWAY_S, NOW_S + 10**6):
        with pytest.raises(Rejected, match="expired_login"):
            by_secret.verify(token(exp=NOW_S), now_s)


def test_the_clocks_may_differ_by_the_leeway(by_secret: WebsiteLogin) -> None:
    assert by_secret.verify(token(iat=NOW_S + LEEWAY_S, nbf=NOW_S + LEEWAY_S), NOW_S)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        7,
        b"x",
        ["a.b.c"],
        {"token": "x"},
        "",
        ".",
        "..",
        "a.b.c",
        "a.b",
        "a.b.c.d",
        "ä.b.c",
        "\x00",
        " ",
        "null",
        "x" * 100_000,
    ],
    ids=lambda wrong: repr(wrong)[:20],
)
def test_what_is_no_token_is_refused(by_secret: WebsiteLogin, wrong: object) -> None:
    with pytest.raises(Rejected, match="bad_login"):
        by_secret.verify(wrong, NOW_S)


def test_a_token_has_a_longest_length_before_it_is_looked_at(by_secret: WebsiteLogin) -> None:
    assert len(token(note="n" * 2000)) < MAX_TOKEN_CHARS < len(token(note="n" * 4000))
    assert by_secret.verify(token(note="n" * 2000), NOW_S)
    with pytest.raises(Rejected, match="bad_login"):
        by_secret.verify(token(note="n" * 4000), NOW_S)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 7])
def test_an_unsigned_token_is_refused(by_secret: WebsiteLogin, by_public_key: WebsiteLogin, algorithm: object) -> None:
    for signature in (b"", b"x", hmac_of(SECRET.encode())(b"x")):
        unsigned = by_hand({"alg": algorithm, "typ": "JWT"}, CLAIMS, lambda _, signature=signature: signature)
        for login in (by_secret, by_public_key):
            with pytest.raises(Rejected, match="bad_login"):
                login.verify(unsigned, NOW_S)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_right_secret_with_another_algorithm_is_refused(by_secret: WebsiteLogin, algorithm: str) -> None:
    with pytest.raises(Rejected, match="bad_login"):
        by_secret.verify(token(SECRET, algorithm), NOW_S)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_the_right_private_key_with_another_algorithm_is_refused(
    by_public_key: WebsiteLogin, private_key: rsa.RSAPrivateKey, algorithm: str
) -> None:
    with pytest.raises(Rejected, match="bad_login"):
        by_public_key.verify(token(private_key, algorithm), NOW_S)


def test_a_public_key_is_no_secret(by_public_key: WebsiteLogin, by_secret: WebsiteLogin, public_pem: bytes) -> None:
    """Whoever has the public key could sign with it by HS256, if the token's header were believed."""
    for key in (public_pem, public_pem.strip(), public_pem.replace(b"\n", b"\r\n")):
        confused = by_hand({"alg": "HS256", "typ": "JWT"}, CLAIMS, hmac_of(key))
        for login in (by_public_key, by_secret):
            with pytest.raises(Rejected, match="bad_login"):
                login.verify(confused, NOW_S)


def test_another_key_is_refused(by_secret: WebsiteLogin, by_public_key: WebsiteLogin) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for login, forged in (
        (by_secret, token("another secret, of the same good length")),
        (by_public_key, token(stranger, "RS256")),
    ):
        with pytest.raises(Rejected, match="bad_login"):
            login.verify(forged, NOW_S)


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "kid"])
def test_a_key_that_a_token_brings_or_points_to_is_not_looked_at(by_public_key: WebsiteLogin, name: str) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    value = {"jwk": brought, "x5c": ["MIIB"], "kid": "../../dev/null"}.get(name, "http://127.0.0.1:9/keys")
    with pytest.raises(Rejected, match="bad_login"):
        by_public_key.verify(token(stranger, "RS256", {name: value}), NOW_S)


@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["unheard-of"], [], "exp", None])
def test_an_extension_we_do_not_understand_is_refused(by_secret: WebsiteLogin, crit: object) -> None:
    """RFC 7515, section 4.1.11."""
    header = {"alg": "HS256", "typ": "JWT", "crit": crit, "b64": True, "unheard-of": 1}
    with pytest.raises(Rejected, match="bad_login"):
        by_secret.verify(by_hand(header, CLAIMS, hmac_of(SECRET.encode())), NOW_S)


@pytest.mark.parametrize("payload", [[], "text", 7, None, [CLAIMS]])
def test_a_payload_is_an_object(by_secret: WebsiteLogin, payload: object) -> None:
    with pytest.raises(Rejected, match="bad_login"):
        by_secret.verify(by_hand({"alg": "HS256"}, payload, hmac_of(SECRET.encode())), NOW_S)


def test_ten_thousand_altered_tokens_let_nobody_in(by_secret: WebsiteLogin) -> None:
    """Every character of the token changed to each of many others."""
    good = token()
    let_in, tried = [], 0
    for position in range(len(good)):
        for other in "Aa0_-.=/ zZ9bQ8wR7eS6tT5yU4iI3oO2pP1kKjJhHgGfFdDlLcCvVxXnNmMuq"[: 10_000 // len(good) + 2]:
            altered = good[:position] + other + good[position + 1 :]
            if _same_bytes(altered, good):
                continue  # the spare bits of base64's last character: the very same signature
            tried += 1
            try:
                let_in.append(by_secret.verify(altered, NOW_S))
            except Rejected:
                continue
    assert tried > 10_000
    assert let_in == []


def _same_bytes(one: str, other: str) -> bool:
    try:
        return [base64.urlsafe_b64decode(part + "==") for part in one.split(".")] == [
            base64.urlsafe_b64decode(part + "==") for part in other.split(".")
        ]
    except ValueError:
        return False


@given(st.one_of(st.text(max_size=300), st.lists(st.text("abcAB09-_=", max_size=60), min_size=3, max_size=3).map(".".join)))
def test_no_text_at_all_is_let_in_or_breaks_anything(text: str) -> None:
    login = WebsiteLogin(issuer=ISSUER, audience=AUDIENCE, algorithm="HS256", key=SECRET.encode(), leeway_s=0)
    with pytest.raises(Rejected, match="bad_login"):
        login.verify(text, NOW_S)


def test_nothing_about_the_person_stands_in_an_error_or_a_repr(by_secret: WebsiteLogin) -> None:
    assert SUBJECT not in repr(by_secret.verify(token(), NOW_S))
    for wrong in (token(exp=1), token(aud="x"), token()[:-4], token("another secret, of the same good length")):
        with pytest.raises(Rejected) as refused:
            by_secret.verify(wrong, NOW_S)
        told = f"{refused.value!r} {refused.value} {refused.value.__cause__}"
        assert SUBJECT not in told and wrong not in told and SECRET not in told
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_no_two_accounts_have_one_address(issuer: str, subject: str, other_issuer: str, other_subject: str) -> None:
    one = account_address(issuer, subject)
    assert len(one) <= 255
    assert (one == account_address(other_issuer, other_subject)) == ((issuer, subject) == (other_issuer, other_subject))


def test_parts_of_an_address_cannot_be_shifted() -> None:
    assert account_address("a", 'b","c') != account_address('a","b', "c")
    assert account_address("a" * 300, "b") != account_address("a" * 299, "ab")
    assert account_address("", account_address("x" * 300, "y")) != account_address("x" * 300, "y")


# Configuration


def settings(**values: Any) -> LoginSettings:
    return LoginSettings(**{"issuer": ISSUER, "audience": AUDIENCE, **values})


def faults(login: LoginSettings, environ: Mapping[str, str]) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as error:
        website_login(login, environ)
    assert all(problem.mend for problem in error.value.problems)
    return {problem.where.rpartition(".")[2]: problem.what for problem in error.value.problems}


ENVIRON = {"THROUGHLINE_LOGIN_SECRET": SECRET}


def test_without_an_issuer_nobody_logs_in_and_nothing_is_wrong() -> None:
    assert website_login(LoginSettings(), ENVIRON) is None


def test_a_secret_is_enough() -> None:
    login = website_login(settings(), ENVIRON)
    assert login is not None
    assert login.verify(token(), NOW_S)


def test_a_public_key_is_enough(tmp_path: Path, private_key: rsa.RSAPrivateKey, public_pem: bytes) -> None:
    file = tmp_path / "website.pem"
    file.write_bytes(public_pem)
    login = website_login(settings(algorithm="RS256", public_key=str(file)), {})
    assert login is not None
    assert login.verify(token(private_key, "RS256"), NOW_S)


def test_all_faults_are_told_at_once() -> None:
    assert faults(settings(audience=""), {}) == {
        "audience": "is missing.",
        "secret_env": "THROUGHLINE_LOGIN_SECRET is not set.",
    }


def test_settings_without_an_issuer_are_told() -> None:
    assert "issuer" in faults(LoginSettings(audience=AUDIENCE), ENVIRON)
    assert "issuer" in faults(LoginSettings(public_key="website.pem"), ENVIRON)


def test_a_weak_secret_is_told_and_not_shown(public_pem: bytes) -> None:
    assert faults(settings(), {"THROUGHLINE_LOGIN_SECRET": "secret"}) == {
        "secret_env": "THROUGHLINE_LOGIN_SECRET holds only 6 bytes."
    }
    assert "holds a key file" in faults(settings(), {"THROUGHLINE_LOGIN_SECRET": public_pem.decode()})["secret_env"]


def test_a_public_key_that_is_none_is_told(tmp_path: Path, private_key: rsa.RSAPrivateKey) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505 - that is the point
    private = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {
        "curve": curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "short": short.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "private": private,
        "empty": b"",
        "text": b"-----BEGIN PUBLIC KEY-----\nhello\n-----END PUBLIC KEY-----\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    told = {
        name: faults(settings(algorithm="RS256", public_key=str(tmp_path / name)), ENVIRON)["public_key"]
        for name in (*files, "missing", "")
    }
    assert "no RSA key of 2048 bits" in told["curve"]
    assert "no RSA key of 2048 bits" in told["short"]
    assert all("holds no public key" in told[name] for name in ("private", "empty", "text"))
    assert "No such file" in told["missing"]
    assert faults(settings(algorithm="RS256"), ENVIRON) == {"public_key": "is missing."}
