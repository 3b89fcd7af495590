"""``throughline check --live``: what only the outside can tell. The vendors' keys, the telephone number's configuration, and whether
what stands in front of this line (a tunnel, a proxy) lets Twilio's requests and websockets through unchanged.

Each part is tried as Twilio or the line itself would, costs next to nothing (a word of speech, a fifth of a second of silence), opens no
call, and is bounded in time. Sources: twilio.com/docs/phone-numbers/api/incomingphonenumber-resource, /docs/iam/api/account.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from throughline import bootstrap
from throughline.cli.check_public import PublicLine, reachable_by_twilio
from throughline.domain.key_terms import key_terms
from throughline.domain.transcripts import TELEPHONE, WIDEBAND
from throughline.domain.turns import Expectation
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.settings.business import load_business
from throughline.settings.server import Settings
from throughline.speech.stt.openai_whisper import OpenAiWhisper
from throughline.speech.stt.protocol import SpeechToText
from throughline.speech.stt.utterances import Utterance
from throughline.speech.tts.protocol import TextToSpeech

_SILENCE = b"\xff" * TELEPHONE.frame_bytes * 10
_REFUSED_WITHIN_S = 0.5
_ALL_WITHIN_S = 15
_WORD = "Hello."
_FEW_NUMBERS = 5
_WEBHOOKS = {  # in the console: field of the API, its method, path of ours
    "A call comes in": ("voice_url", "voice_method", "/webhooks/phone/voice"),
    "Primary handler fails": ("voice_fallback_url", "voice_fallback_method", "/webhooks/phone/fallback"),
    "Call status changes": ("status_callback", "status_callback_method", "/webhooks/phone/status"),
}
_MENDS = {  # by a word of the adapters'
    "key_refused": "Set {key} to a key that the vendor's console shows as active.",
    "key_not_permitted": "Give the key in {key} the permission in the vendor's console, or take another key.",
    "no_credit": "Add credit to the vendor's account; until then the embedded engine is used.",
    "quota_used_up": "Add credit to the vendor's account; until then the embedded engine is used.",
    "limit_reached": "Wait, or ask the vendor for a higher limit; until then the embedded engine is used.",
    "voice_unknown": "Set speech.elevenlabs.voice_id, or speech.rime.voice, to a voice that your account and the model have.",
    "model_unknown": "Set the model in endpoints.yml to one that the vendor has.",
}
_MEND = "Check this machine's way out (firewall, proxy) and the address in {url}; until then the embedded engine is used."


class NotTried(str):
    """Why a part was not looked at."""


def parts() -> Mapping[str, Callable[[Settings], str]]:
    """What is looked at, by name. Each returns what it found, or why it was not tried; it raises ConfigurationError."""
    return {
        "deepgram": _deepgram,
        "openai": _openai,
        "elevenlabs": _elevenlabs,
        "rime": _rime,
        "twilio account": _account,
        "twilio number": _number,
        "text messages": _texts,
        "public address": _line,
    }


def _deepgram(settings: Settings) -> str:
    terms = key_terms(load_business(Path(settings.business_dir)))  # Deepgram refuses too many
    engine, names = bootstrap.deepgram(settings, terms=terms), settings.speech.deepgram
    if engine is None:
        return NotTried(f"{names.key_env} is not set")
    took_ms = _bounded(_opened_in_ms(engine), names.key_env, names.url_env)
    return f"{engine.name} listens, opened in {took_ms:.0f} ms"


def _openai(settings: Settings) -> str:
    terms = key_terms(load_business(Path(settings.business_dir)))
    engine, names = bootstrap.openai_whisper(settings, terms=terms), settings.speech.openai
    if engine is None:
        return NotTried(f"{names.url_env} is not set, nor speech.openai.url")
    took_ms = _bounded(_transcribed_in_ms(engine), names.key_env, names.url_env)
    return f"{engine.name} transcribes, a second of silence in {took_ms:.0f} ms"


async def _transcribed_in_ms(engine: OpenAiWhisper) -> float:
    """How long a second of silence took to be transcribed, once connected. Raises Unavailable."""
    silence = Utterance(bytes(WIDEBAND.frame_bytes * 50), Expectation(), final=True, until_ms=1000)
    try:
        await engine.warm_up()
        began = time.monotonic()
        await engine.transcribe(silence)
        return 1000 * (time.monotonic() - began)
    finally:
        await engine.close()


async def _opened_in_ms(engine: SpeechToText) -> float:
    """How long the engine took to listen. A refusal may also come once it hears something."""
    await engine.warm_up()
    began = time.monotonic()
    ear = await engine.open(TELEPHONE)
    took_ms = 1000 * (time.monotonic() - began)
    reports = ear.transcripts()
    report = asyncio.ensure_future(anext(reports, None))
    try:
        ear.send(_SILENCE)
        await asyncio.wait({report}, timeout=_REFUSED_WITHIN_S)
        if report.done():
            report.result()
    finally:
        report.cancel()
        await asyncio.gather(report, return_exceptions=True)
        await ear.close()
    return took_ms


def _elevenlabs(settings: Settings) -> str:
    engine, names = bootstrap.elevenlabs(settings), settings.speech.elevenlabs
    if engine is None:
        return NotTried(f"{names.key_env} is not set")
    first_ms = _bounded(_spoke_after_ms(engine), names.key_env, names.url_env)
    return f"{engine.name} speaks by {names.transport}, first audio after {first_ms:.0f} ms"


def _rime(settings: Settings) -> str:
    engine, names = bootstrap.rime(settings), settings.speech.rime
    if engine is None:
        return NotTried(f"{names.key_env} is not set")
    url_env = names.url_env if names.transport == "http" else names.ws_url_env
    first_ms = _bounded(_spoke_after_ms(engine), names.key_env, url_env)
    return f"{engine.name} speaks by {names.transport}, first audio after {first_ms:.0f} ms"


async def _spoke_after_ms(engine: TextToSpeech) -> float:
    """How long the engine's first audio took, once connected. Raises Unavailable."""
    first_ms = 0.0
    try:
        await engine.warm_up()
        began = time.monotonic()
        async for _ in engine.speak(_WORD, TELEPHONE):
            first_ms = first_ms or 1000 * (time.monotonic() - began)
    finally:
        await engine.close()
    if not first_ms:
        raise Unavailable(f"{engine.name}: no_audio")
    return first_ms


def _bounded(work: Coroutine[Any, Any, float], key_env: str, url_env: str) -> float:
    """The outcome of ``work``. Raises ConfigurationError with what to do about its failure."""

    async def within() -> float:
        return await asyncio.wait_for(work, _ALL_WITHIN_S)

    try:
        return asyncio.run(within())
    except asyncio.TimeoutError:
        what = f"no end within {_ALL_WITHIN_S} s"
    except Unavailable as error:
        what = str(error)
    mend = next((mend for word, mend in _MENDS.items() if word in what), _MEND)
    raise ConfigurationError([Problem(key_env, f"{what}.", mend.format(key=key_env, url=url_env))])


def _account(settings: Settings) -> str:
    api = TwilioReader.of(settings)
    if api is None:
        return NotTried(f"{settings.twilio.auth_token_env} is not set: only the page's own phone is let in")
    account = api.get(".json")
    if account.get("status") != "active":
        raise ConfigurationError(
            [Problem(settings.twilio.account_sid_env, f"the account is {account.get('status')}.", "See Twilio's console.")]
        )
    trial = " (a trial account: callers hear Twilio's own notice first)" if account.get("type") == "Trial" else ""
    return f"{account.get('friendly_name')}, active{trial}"


def _number(settings: Settings) -> str:
    api = TwilioReader.of(settings)
    if api is None:
        return NotTried(f"{settings.twilio.auth_token_env} is not set")
    ours = load_business(Path(settings.business_dir)).company.phone
    found = _of_the_account(api, ours, f"{settings.business_dir}/company.yml phone")
    problems = number_problems(found, ours, settings.public_url())
    if problems:
        raise ConfigurationError(problems)
    return f"{ours} calls {settings.public_url()}/webhooks/phone/"


def _of_the_account(api: TwilioReader, number: str, where: str) -> dict[str, Any]:
    """What the account says of a number of its own, which stands at ``where``. Raises ConfigurationError."""
    numbers = api.get("/IncomingPhoneNumbers.json", PhoneNumber=number).get("incoming_phone_numbers") or []
    found: dict[str, Any] | None = next((one for one in numbers if one.get("phone_number") == number), None)
    if found is None:
        others = api.get("/IncomingPhoneNumbers.json", PageSize=str(_FEW_NUMBERS)).get("incoming_phone_numbers") or []
        have = ", ".join(str(one.get("phone_number")) for one in others[:_FEW_NUMBERS]) or "none yet: buy one in the console"
        mend = f"Write the account's number there ({have})."
        raise ConfigurationError([Problem(where, f"{number} is not the account's.", mend)])
    return found


def _texts(settings: Settings) -> str:
    number = settings.twilio.text_from
    if not number:
        return NotTried("twilio.text_from is not set: callers who want to go on in the chat are told a code")
    api = TwilioReader.of(settings)
    if api is None:
        return NotTried(f"{settings.twilio.auth_token_env} is not set")
    found = _of_the_account(api, number, "endpoints.yml throughline.twilio.text_from")
    if not any(can for name, can in (found.get("capabilities") or {}).items() if name.lower() == "sms"):
        mend = "Set twilio.text_from to a number whose capabilities in the console include SMS."
        raise ConfigurationError([Problem(f"Twilio console, Phone Numbers, {number}", "can't send text messages.", mend)])
    return f"{number} sends links to {settings.public_url()}/demo/"


def number_problems(number: Mapping[str, Any], ours: str, public_url: str) -> list[Problem]:
    """What is configured for the number otherwise than the line needs it."""
    problems = []
    console = f"Twilio console, Phone Numbers, {ours}"
    for name, taker in (("voice_application_sid", "a TwiML app"), ("trunk_sid", "a SIP trunk")):
        if number.get(name):
            problems.append(Problem(console, f"{taker} takes its calls.", "Configure with: Webhook, TwiML Bin, Function, ..."))
    for title, (address, method, path) in _WEBHOOKS.items():
        wanted, is_set = public_url + path, str(number.get(address) or "").partition("#")[0]
        if is_set != wanted:
            what = f"is {is_set}." if is_set else "is empty."
            problems.append(Problem(f"{console}, '{title}'", what, f"Set it to Webhook, {wanted}, HTTP POST."))
        elif number.get(method, "POST") != "POST":
            problems.append(Problem(f"{console}, '{title}'", f"uses HTTP {number.get(method)}.", "Set it to HTTP POST."))
    return problems


@dataclass(frozen=True)
class TwilioReader:
    """Reads an account by Twilio's REST API."""

    address: str
    key: tuple[str, str]
    timeout_s: float
    key_names: str

    @classmethod
    def of(cls, settings: Settings) -> TwilioReader | None:
        """The environment's account; None where there is none."""
        twilio = settings.twilio
        account, token = os.environ.get(twilio.account_sid_env, ""), os.environ.get(twilio.auth_token_env, "")
        if not account or not token:
            return None
        api = (os.environ.get(twilio.api_url_env) or twilio.api_url).rstrip("/")
        names = f"{twilio.account_sid_env} and {twilio.auth_token_env}"
        return cls(f"{api}/2010-04-01/Accounts/{account}", (account, token), twilio.api_timeout_ms / 1000, names)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """What stands at ``path`` below the account. Raises ConfigurationError."""
        try:
            answer = requests.get(
                self.address + path, params=query, auth=self.key, timeout=self.timeout_s, allow_redirects=False
            )
            body = answer.json()
        except requests.RequestException as error:  # its text may hold the account's id: not passed on
            raise self._trouble(f"does not answer ({type(error).__name__}).") from None
        if answer.status_code in (401, 403, 404):
            mend = "Copy both from the first page of Twilio's console, without spaces."
            raise ConfigurationError([Problem(self.key_names, f"Twilio refuses them ({answer.status_code}).", mend)])
        if answer.status_code != requests.codes.ok or not isinstance(body, dict):
            raise self._trouble(f"answers {answer.status_code}.")
        return body

    def _trouble(self, what: str) -> ConfigurationError:
        host = self.address.partition("/2010-04-01")[0]
        mend = "Check this machine's way out (firewall, proxy), or try again in a minute; callers are answered without it."
        return ConfigurationError([Problem(f"Twilio's API at {host}", what, mend)])


def _line(settings: Settings) -> str:
    twilio = settings.twilio
    account, token = os.environ.get(twilio.account_sid_env, ""), os.environ.get(twilio.auth_token_env, "")
    public = settings.public_url()
    problems = reachable_by_twilio(public, settings.site.public_url_env) if token else []
    line = PublicLine(public, account, token, token_env=twilio.auth_token_env, url_env=settings.site.public_url_env)
    problems += line.problems()
    if problems:
        raise ConfigurationError(problems)
    return f"{public}: {'; '.join(line.found)}"
