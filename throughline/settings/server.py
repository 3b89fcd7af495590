"""The operator's settings: the key ``throughline:`` of endpoints.yml.

A setting is a plain value, or, where its name ends in ``_env``, the name of an environment variable that holds it: Rasa expands
``${...}`` in this file by itself, and one unset variable would break every command. A variable that is set wins over the plain
value beside it. Secrets have no plain form.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from throughline.domain.assurance import TryLimits
from throughline.domain.placed_calls import CallLimits
from throughline.domain.tel_link import is_e164
from throughline.errors import ConfigurationError, Problem
from throughline.settings.checked_yaml import line_of, load_mapping, pour, setting
from throughline.settings.speech import SpeechSettings, flux_problems

FILE = Path("endpoints.yml")
KEY = "throughline"
_STATUS_WITHIN = timedelta(minutes=1)  # the end of a call is told a moment after it, or never


@dataclass(frozen=True)
class DatabaseSettings:
    """Where the record is kept."""

    url: str = setting("sqlite:///var/throughline.db", doc="SQLAlchemy address of the record.")
    url_env: str = setting("DATABASE_URL", doc="Environment variable that overrides `url`.")
    secret_env: str = setting(
        "THROUGHLINE_SECRET",
        doc="Environment variable with the key under which one-time codes are stored. Unset: a random key is kept in `var/secret`.",
    )
    window_user_turns: int = setting(
        6,
        minimum=6,
        maximum=100,
        doc="How many of the customer's latest turns Rasa is given. Above the policies' max_history.",
    )
    lock_wait_s: int = setting(30, minimum=1, maximum=300, doc="How long a turn waits for the turn ahead of it.")
    lock_lifetime_s: int = setting(
        25,
        minimum=12,
        maximum=290,
        doc="How long a server may hold a conversation before another one that waits takes it away: what hangs or was stopped then "
        "saves nothing any more. Below `lock_wait_s`, and longer than any turn.",
    )


@dataclass(frozen=True)
class SiteSettings:
    """What may reach this server."""

    public_url: str = setting("http://localhost:5005", doc="The address customers' browsers see.")
    public_url_env: str = setting("THROUGHLINE_PUBLIC_URL", doc="Environment variable that overrides `public_url`.")
    allowed_origins: tuple[str, ...] = setting(
        (), doc="Further origins whose pages may embed the chat, each `scheme://host[:port]`."
    )
    trusted_proxies: int = setting(
        0, minimum=0, maximum=5, doc="How many proxies of yours stand in front, each adding to X-Forwarded-For."
    )


@dataclass(frozen=True)
class LoginSettings:
    """The website's signed login: who opens the chat with its token is known."""

    issuer: str = setting("", doc="`iss` of the website's tokens. Empty: nobody logs in.")
    audience: str = setting("", doc="`aud` that the tokens must name.")
    algorithm: str = setting("HS256", choices=("HS256", "RS256"), doc="How the tokens are signed; no other way is taken.")
    secret_env: str = setting(
        "THROUGHLINE_LOGIN_SECRET",
        doc="Environment variable with the secret shared with the website, for HS256: 32 bytes or more.",
    )
    public_key: str = setting("", doc="PEM file with the website's public key, for RS256.")
    leeway_s: int = setting(30, minimum=0, maximum=300, doc="How far the website's clock may be off.")


@dataclass(frozen=True)
class ChatSettings:
    """Bounds of the web chat."""

    message_chars: int = setting(1000, minimum=50, maximum=10000, doc="Longest message taken, in characters.")
    messages_per_minute: int = setting(30, minimum=1, maximum=600, doc="Messages a chat session may send in a minute.")
    sessions_per_minute: int = setting(
        60,
        minimum=1,
        maximum=6000,
        doc="New chat sessions one network address may open in a minute. A browser's first page opens one; reloads and later "
        "visits take it up again. Offices and mobile carriers put many people behind one address, so it is generous: a script "
        "that opens as many costs the record some 45 MB a day. Behind a proxy set `site.trusted_proxies`, or all customers "
        "count as one address.",
    )
    pages_per_address: int = setting(
        500,
        minimum=10,
        maximum=100000,
        doc="Chat pages one network address may have open at one server; it may connect twice as often in a minute. As generous as "
        "`sessions_per_minute`, for the same reason.",
    )
    session_days: int = setting(30, minimum=1, maximum=365, doc="How long a browser's chat session can be taken up again.")
    finish_within_s: int = setting(
        600,
        minimum=10,
        maximum=86400,
        doc="How old a message may be that a crash or a failed save has left, to be answered; an older one gets an apology.",
    )
    history_messages: int = setting(50, minimum=1, maximum=500, doc="How many earlier messages a reloaded page is shown.")
    reminder_minutes: int = setting(
        60,
        minimum=1,
        maximum=10080,
        doc="Who left in the middle of a booking and opens the chat again after so long is told what we remember, and asked on.",
    )


@dataclass(frozen=True)
class CodeSettings:
    """One-time codes and links that lead to the same conversation on the other channel, and tokens that let a call in."""

    code_ttl_s: int = setting(300, minimum=30, maximum=3600, doc="How long a one-time code is good.")
    link_ttl_s: int = setting(
        900, minimum=60, maximum=86400, doc="How long a link that was sent by text message can be opened. It opens once."
    )
    tries_per_call: int = setting(3, minimum=1, maximum=10, doc="Wrong codes and facts a call or a chat may give.")
    tries_per_hour: int = setting(
        10,
        minimum=3,
        maximum=100,
        doc="The same in an hour for one caller over all calls and chats: a telephone number, or a network address.",
    )
    alarm_tries: int = setting(
        30,
        minimum=5,
        maximum=10000,
        doc="The same for all callers together within `alarm_minutes`. Then `identity.alarm` is logged.",
    )
    alarm_minutes: int = setting(10, minimum=1, maximum=1440, doc="See `alarm_tries`.")
    closed_minutes: int = setting(
        30,
        minimum=1,
        maximum=1440,
        doc="How long nobody can give a code, or a fact, after that alarm. The other way stays open.",
    )
    call_token_ttl_s: int = setting(
        60, minimum=5, maximum=600, doc="How long a page, or Twilio, has to open the call it asked for."
    )

    def limits(self) -> TryLimits:
        """How often somebody may be wrong."""
        return TryLimits(
            per_session=self.tries_per_call,
            per_caller=self.tries_per_hour,
            alarm_tries=self.alarm_tries,
            alarm_within=timedelta(minutes=self.alarm_minutes),
            closed_for=timedelta(minutes=self.closed_minutes),
        )


@dataclass(frozen=True)
class IdentitySettings:
    """How long a proof of who somebody is counts. A call is believed until it ends, a login until its token runs out."""

    chat_hours: int = setting(
        12,
        minimum=1,
        maximum=720,
        doc="How long a chat that gave a code or opened a link is believed. Then it is asked for another.",
    )
    number_days: int = setting(
        365,
        minimum=1,
        maximum=3650,
        doc="How long a telephone number counts as a customer's after it was proved. Numbers change hands.",
    )


@dataclass(frozen=True)
class PhoneSettings:
    """Bounds and timing of the phone line."""

    max_calls: int = setting(8, minimum=1, maximum=200, doc="Calls held at once. One more hears the busy message.")
    calls_per_minute: int = setting(10, minimum=1, maximum=600, doc="Page calls one network address may start in a minute.")
    end_of_turn_ms: int = setting(
        1000, minimum=200, maximum=3000, doc="Silence that ends a caller's turn where nothing tells whether they are done."
    )
    end_of_turn_told_ms: int = setting(
        720,
        minimum=100,
        maximum=3000,
        doc="The same where the recogniser takes them to be done: it is wrong about many a pause.",
    )
    end_of_turn_whole_ms: int = setting(
        860, minimum=100, maximum=3000, doc="The same once they have said all that was asked for."
    )
    end_of_turn_short_ms: int = setting(380, minimum=100, maximum=3000, doc="The same where both is so.")
    end_of_turn_long_ms: int = setting(
        1300, minimum=300, maximum=5000, doc='The same where they stop in the middle ("my number is four seven").'
    )
    barge_in_words: int = setting(2, minimum=1, maximum=10, doc="Words heard before a caller interrupts the assistant.")
    barge_in_hold_ms: int = setting(
        160, minimum=0, maximum=2000, doc="Sound for which the assistant pauses until words tell what it is. 0: it never does."
    )
    silence_ms: int = setting(8000, minimum=2000, maximum=60000, doc="Silence before the next silence prompt.")
    keypad_pause_ms: int = setting(2500, minimum=500, maximum=10000, doc="Pause that ends a number typed on the keypad.")
    max_call_minutes: int = setting(30, minimum=1, maximum=240, doc="Longest call.")
    drain_s: int = setting(
        20,
        minimum=0,
        maximum=3600,
        doc="How long a server that is told to stop (SIGTERM) lets its calls go on, while it takes no new ones. Then those that are "
        "left are connected again, elsewhere. Whoever stops it must wait 20 seconds longer before killing it.",
    )
    finish_within_s: int = setting(
        60, minimum=10, maximum=3600, doc="The same for what a caller said: as long as the call may be connected again."
    )
    turn_timeout_ms: int = setting(
        10000, minimum=1000, maximum=60000, doc="How long a turn may take before the caller hears an apology."
    )


@dataclass(frozen=True)
class TwilioSettings:
    """The telephone number: a Twilio account. Without its token the number's webhooks are refused; the page's own phone works."""

    account_sid_env: str = setting("TWILIO_ACCOUNT_SID", doc="Environment variable with the account's SID (`AC...`).")
    auth_token_env: str = setting("TWILIO_AUTH_TOKEN", doc="Environment variable with the account's auth token.")
    api_url: str = setting("https://api.twilio.com", doc="Twilio's REST API, through which calls are put through and ended.")
    api_url_env: str = setting("TWILIO_API_URL", doc="Environment variable that overrides `api_url`.")
    api_timeout_ms: int = setting(3000, minimum=500, maximum=15000, doc="How long Twilio's API may take to answer.")
    webhook_ms: int = setting(
        1500,
        minimum=200,
        maximum=10000,
        doc="How long the record may hold up the answer to a webhook. Then the caller is put through, or leaves a message.",
    )
    transfer_to: str = setting(
        "", doc="Telephone number, `+15035550100`, that calls for a person are put through to. Empty: call-backs."
    )
    text_from: str = setting(
        "",
        doc="Telephone number of the account, `+15035550100`, that text messages are sent from: a caller who wants to go on in the chat "
        "gets a link. Empty: none are sent, and callers are told a code.",
    )
    ring_s: int = setting(
        25, minimum=5, maximum=120, doc="How long that telephone rings before the caller is promised a call-back."
    )
    reconnects: int = setting(2, minimum=0, maximum=10, doc="How often a call that lost this server is connected again.")
    call_ring_s: int = setting(
        20,
        minimum=5,
        maximum=60,
        doc="How long a customer's telephone rings whom the chat has us call. Most voicemails answer after 25 seconds.",
    )
    calls_per_hour: int = setting(
        3, minimum=0, maximum=20, doc="Calls that we place in an hour to one number, or for one customer. 0: we call nobody."
    )
    all_calls_per_hour: int = setting(
        60, minimum=0, maximum=10000, doc="The same to all customers together: what calls may cost, whoever asks for them."
    )


@dataclass(frozen=True)
class ActionSettings:
    """Bounds of the action server's work."""

    connector_timeout_ms: int = setting(
        3000, minimum=100, maximum=30000, doc="How long the CRM or the calendar may take to answer."
    )


@dataclass(frozen=True)
class LogSettings:
    """What is logged."""

    level: str = setting("INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), doc="Least level logged.")
    personal_data: bool = setting(False, doc="Keep personal data in the log. For development only.")


@dataclass(frozen=True)
class Settings:
    """Everything under ``throughline:``."""

    business_dir: str = setting("data/business", doc="Folder of the company's own facts.")
    database: DatabaseSettings = setting(factory=DatabaseSettings, doc="The record.")
    site: SiteSettings = setting(factory=SiteSettings, doc="The public site.")
    login: LoginSettings = setting(factory=LoginSettings, doc="The website's login.")
    chat: ChatSettings = setting(factory=ChatSettings, doc="The web chat.")
    codes: CodeSettings = setting(factory=CodeSettings, doc="One-time codes and tokens.")
    identity: IdentitySettings = setting(factory=IdentitySettings, doc="How long a proof counts.")
    phone: PhoneSettings = setting(factory=PhoneSettings, doc="The phone line.")
    twilio: TwilioSettings = setting(factory=TwilioSettings, doc="The telephone number.")
    speech: SpeechSettings = setting(factory=SpeechSettings, doc="Speech engines.")
    actions: ActionSettings = setting(factory=ActionSettings, doc="The action server.")
    log: LogSettings = setting(factory=LogSettings, doc="The log.")

    def call_limits(self) -> CallLimits:
        """How many calls we place, and after how long one is over of whose end nobody tells us."""
        return CallLimits(
            per_number=self.twilio.calls_per_hour,
            over_all=self.twilio.all_calls_per_hour,
            rings_for=timedelta(seconds=self.twilio.call_ring_s) + _STATUS_WITHIN,
            lasts=timedelta(minutes=self.phone.max_call_minutes) + _STATUS_WITHIN,
        )

    def database_url(self, environ: Mapping[str, str] = os.environ) -> str:
        """The record's address, the environment's first."""
        return environ.get(self.database.url_env) or self.database.url

    def public_url(self, environ: Mapping[str, str] = os.environ) -> str:
        """The public address without a closing slash, the environment's first."""
        return (environ.get(self.site.public_url_env) or self.site.public_url).rstrip("/")

    def whisper_dir(self, environ: Mapping[str, str] = os.environ) -> Path:
        """The Whisper model's directory, the environment's first. It need not exist."""
        return Path(environ.get(self.speech.whisper_dir_env) or self.speech.whisper_dir)


def load_settings(file: Path = FILE) -> Settings:
    """Read and check the operator's settings. Raises ConfigurationError with every problem found."""
    problems: list[Problem] = []
    mapping = load_mapping(file, problems).get(KEY) or {}
    if not isinstance(mapping, Mapping):
        problems.append(Problem(f"{file} {KEY}", "must be a mapping.", "Write its settings indented below it."))
        mapping = {}
    settings = pour(Settings, mapping, file=file, path=KEY, problems=problems)
    for name in ("transfer_to", "text_from"):
        number = "" if settings is None else getattr(settings.twilio, name)
        if number and not is_e164(number):
            line = line_of(mapping.get("twilio", {}), name)
            mend = 'Write it quoted, with its country code: "+15035550100".'
            problems.append(Problem(f"{file}:{line} {KEY}.twilio.{name}", "is no telephone number.", mend))
    if settings is not None:
        problems += flux_problems(settings.speech.deepgram, mapping.get("speech") or {}, file, f"{KEY}.speech")
    if settings is not None and settings.database.lock_lifetime_s >= settings.database.lock_wait_s:
        written = mapping.get("database", {})
        key = "lock_lifetime_s" if "lock_lifetime_s" in written else "lock_wait_s"
        what = f"a lock lives for {settings.database.lock_lifetime_s} s and is waited for {settings.database.lock_wait_s} s."
        mend = "Make lock_lifetime_s the smaller one, or nobody waits until a lock can be taken away."
        problems.append(Problem(f"{file}:{line_of(written, key)} {KEY}.database.{key}", what, mend))
    if problems or settings is None:
        raise ConfigurationError(problems)
    return settings
