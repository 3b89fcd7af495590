"""``throughline check --live``: every fault that keeps a first call from being answered is found, and named with its mend."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from tests.unit.simulate.small_line import SmallLine
from throughline.cli import check as check_command
from throughline.cli import check_live
from throughline.cli.check_live import NotTried
from throughline.cli.check_public import reachable_by_twilio
from throughline.cli.main import main
from throughline.errors import ConfigurationError, ThroughlineError
from throughline.settings.server import Settings, load_settings
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import QUOTA_EXCEEDED, ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.openai_whisper import Answer, TranscriptionServer
from throughline.simulate.rime import NO_SUBSCRIPTION, RimeServer
from throughline.simulate.twilio import TwilioApi, TwilioLine

pytestmark = pytest.mark.contract

ACCOUNT, SECRET = "AC" + "1" * 32, "the-accounts-auth-token"
KEY = "a-vendors-key"
PUBLIC = "https://voice.example"
NUMBER = "+15035550142"  # the company's, in data/business/company.yml
WEBHOOKS = f"{PUBLIC}/webhooks/phone"
CONFIGURED = {
    "voice_url": f"{WEBHOOKS}/voice#rc=1&rp=all",
    "voice_method": "POST",
    "voice_fallback_url": f"{WEBHOOKS}/fallback",
    "voice_fallback_method": "POST",
    "status_callback": f"{WEBHOOKS}/status",
    "status_callback_method": "POST",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's environment without vendors; a test adds what it needs."""
    for name in ("DEEPGRAM_API_KEY", "DEEPGRAM_URL", "ELEVENLABS_API_KEY", "ELEVENLABS_URL", "TWILIO_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("THROUGHLINE_PUBLIC_URL", PUBLIC)


def look(part: str, settings: Settings | None = None) -> str:
    return check_live.parts()[part](settings or load_settings())


def faults(part: str, settings: Settings | None = None) -> list[str]:
    """What is wrong, as a person reads it. No key is ever in it."""
    with pytest.raises(ThroughlineError) as caught:
        look(part, settings)
    problems = caught.value.problems if isinstance(caught.value, ConfigurationError) else [caught.value]
    told = [str(problem) for problem in problems]
    assert not any(secret in text for text in told for secret in (SECRET, KEY))
    return told


class TestDeepgram:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeepgramServer]:
        with in_thread(DeepgramServer(key=KEY)) as running:
            monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)
            monkeypatch.setenv("DEEPGRAM_URL", running.url)
            yield running

    def test_a_good_key_opens_a_stream(self, server: DeepgramServer) -> None:
        assert look("deepgram").startswith("deepgram nova-3 listens, opened in ")
        assert len(server.visits) == 1

    @pytest.mark.parametrize(
        ("status", "mend"),
        [(401, "Set DEEPGRAM_API_KEY to a key"), (402, "Add credit"), (429, "higher limit"), (500, "DEEPGRAM_URL")],
    )
    def test_a_refusal_is_named_with_its_mend(self, server: DeepgramServer, status: int, mend: str) -> None:
        server.misbehave(status)
        (told,) = faults("deepgram")
        assert str(status) in told and mend in told

    def test_a_vendor_that_is_silent_or_away_does_not_hold_up_the_check(self, server: DeepgramServer) -> None:
        settings = load_settings()
        server.misbehave("silent")
        quick = replace(settings, speech=replace(settings.speech, open_timeout_ms=200))
        assert "timed_out" in faults("deepgram", quick)[0]

    def test_without_a_key_it_is_not_tried(self) -> None:
        assert look("deepgram") == "DEEPGRAM_API_KEY is not set"
        assert isinstance(look("deepgram"), NotTried)


class TestElevenLabs:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[ElevenLabsServer]:
        with in_thread(ElevenLabsServer(key=KEY)) as running:
            monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
            monkeypatch.setenv("ELEVENLABS_URL", running.url)
            yield running

    def test_a_good_key_speaks_a_word(self, server: ElevenLabsServer) -> None:
        assert look("elevenlabs").startswith("elevenlabs eleven_flash_v2_5 speaks by http, first audio after ")
        assert len(server.asked) == 1

    def test_over_its_websocket_too(self, server: ElevenLabsServer) -> None:
        settings = load_settings()
        speech = replace(settings.speech, elevenlabs=replace(settings.speech.elevenlabs, transport="websocket"))
        by_websocket = replace(settings, speech=speech)
        assert look("elevenlabs", by_websocket).startswith(
            "elevenlabs eleven_flash_v2_5 speaks by websocket, first audio after "
        )
        server.change_key("another")
        assert "Set ELEVENLABS_API_KEY to a key" in faults("elevenlabs", by_websocket)[0]

    def test_a_refused_key_and_used_up_credit_are_told_apart(self, server: ElevenLabsServer) -> None:
        server.misbehave(QUOTA_EXCEEDED)
        assert "Add credit" in faults("elevenlabs")[0]
        server.behave()
        server.change_key("another")
        assert "Set ELEVENLABS_API_KEY to a key" in faults("elevenlabs")[0]

    def test_an_unknown_voice_is_named(self, server: ElevenLabsServer) -> None:
        settings = load_settings()
        speech = replace(settings.speech, elevenlabs=replace(settings.speech.elevenlabs, voice_id="nobody"))
        assert "speech.elevenlabs.voice_id" in faults("elevenlabs", replace(settings, speech=speech))[0]

    def test_without_live_nothing_is_asked(self, server: ElevenLabsServer) -> None:
        settings = load_settings()
        assert check_command._speaking(settings).startswith("elevenlabs")
        assert isinstance(check_command._server(settings), NotTried)
        assert server.asked == [] and server.voices_asked == 0


class TestWhisperServer:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[TranscriptionServer]:
        with in_thread(TranscriptionServer(key=KEY)) as running:
            monkeypatch.setenv("WHISPER_URL", running.url)
            monkeypatch.setenv("WHISPER_API_KEY", KEY)
            yield running

    def test_a_good_key_transcribes(self, server: TranscriptionServer) -> None:
        assert look("openai").startswith("openai whisper-1 transcribes, a second of silence in ")
        assert len(server.asked) == 1

    def test_what_is_refused_is_told_with_its_mend(self, server: TranscriptionServer, monkeypatch: pytest.MonkeyPatch) -> None:
        server.misbehave(Answer(429, {"error": {"code": "insufficient_quota"}}))
        assert "Add credit" in faults("openai")[0]
        server.behave()
        monkeypatch.setenv("WHISPER_API_KEY", "another")
        assert "Set WHISPER_API_KEY to a key" in faults("openai")[0]
        monkeypatch.setenv("WHISPER_URL", "http://127.0.0.1:9/v1")
        assert "the address in WHISPER_URL" in faults("openai")[0]

    def test_without_an_address_it_is_not_tried(self) -> None:
        assert isinstance(look("openai"), NotTried)

    def test_without_live_nothing_is_asked(self, server: TranscriptionServer) -> None:
        assert check_command._listening(load_settings()).startswith("openai whisper-1")
        assert not server.connections


@pytest.mark.parametrize("transport", ["http", "websocket"])
class TestRime:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[RimeServer]:
        with in_thread(RimeServer(key=KEY)) as running:
            monkeypatch.setenv("RIME_API_KEY", KEY)
            monkeypatch.setenv("RIME_URL", running.url)
            monkeypatch.setenv("RIME_WS_URL", running.ws_url)
            yield running

    @staticmethod
    def by(transport: str, **more: str) -> Settings:
        settings = load_settings()
        rime = replace(settings.speech.rime, transport=transport, **more)
        return replace(settings, speech=replace(settings.speech, rime=rime))

    def test_a_good_key_speaks_a_word(self, server: RimeServer, transport: str) -> None:
        assert look("rime", self.by(transport)).startswith(f"rime mistv3 speaks by {transport}, first audio after ")
        assert len(server.asked) == 1

    def test_what_is_refused_is_told_with_its_mend(self, server: RimeServer, transport: str) -> None:
        assert "speech.rime.voice" in faults("rime", self.by(transport, voice="nobody"))[0]
        server.change_key("another")
        assert "Set RIME_API_KEY to a key" in faults("rime", self.by(transport))[0]
        server.misbehave(NO_SUBSCRIPTION)
        server.refuse_upgrades = False  # of a refused upgrade no more than its status is read, and that is a refused key's
        assert "Add credit" in faults("rime", self.by(transport))[0]

    def test_without_a_key_it_is_not_tried(self, transport: str) -> None:
        assert isinstance(look("rime", self.by(transport)), NotTried)


def texting_from(number: str) -> Settings:
    settings = load_settings()
    return replace(settings, twilio=replace(settings.twilio, text_from=number))


class TestTwilio:
    @pytest.fixture
    def api(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwilioApi]:
        line = TwilioLine(PUBLIC, account_sid=ACCOUNT, auth_token=SECRET)
        with in_thread(TwilioApi(line, numbers={"+15035550100": {}, NUMBER: dict(CONFIGURED)})) as running:
            monkeypatch.setenv("TWILIO_API_URL", running.url)
            yield running

    def test_the_account_and_the_number_as_they_should_be(self, api: TwilioApi) -> None:
        assert look("twilio account") == "Simulated account, active"
        assert look("twilio number") == f"{NUMBER} calls {WEBHOOKS}/"

    def test_every_difference_of_the_numbers_configuration_is_named_with_what_to_set(self, api: TwilioApi) -> None:
        api.numbers[NUMBER].update(
            voice_url="https://demo.twilio.com/welcome/voice/",
            voice_fallback_url="",
            status_callback_method="GET",
            trunk_sid="TK" + "0" * 32,
        )
        trunk, voice, fallback, status = faults("twilio number")
        assert "a SIP trunk takes its calls" in trunk
        assert "'A call comes in': is https://demo.twilio.com/welcome/voice/." in voice
        assert f"Set it to Webhook, {WEBHOOKS}/voice, HTTP POST." in voice
        assert "'Primary handler fails': is empty." in fallback
        assert "'Call status changes': uses HTTP GET." in status

    def test_a_number_that_is_not_the_accounts_is_told_with_those_that_are(self, api: TwilioApi) -> None:
        del api.numbers[NUMBER]
        (told,) = faults("twilio number")
        assert f"{NUMBER} is not the account's" in told and "(+15035550100)" in told
        api.numbers.clear()
        assert "none yet" in faults("twilio number")[0]

    def test_a_wrong_key_is_told(self, api: TwilioApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", "another")
        assert "Twilio refuses them (401)" in faults("twilio account")[0]

    @pytest.mark.parametrize(("fault", "told"), [("error", "500"), ("limit", "429"), ("stall", "ReadTimeout")])
    def test_twilios_own_trouble_is_told_apart(self, api: TwilioApi, fault: str, told: str) -> None:
        settings = load_settings()
        api.fault = fault
        quick = replace(settings, twilio=replace(settings.twilio, api_timeout_ms=300))
        assert told in faults("twilio account", quick)[0]

    def test_without_an_account_it_is_not_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TWILIO_AUTH_TOKEN")
        assert isinstance(look("twilio account"), NotTried)
        assert isinstance(look("twilio number"), NotTried)
        assert isinstance(look("text messages", texting_from(NUMBER)), NotTried)

    def test_whether_the_number_can_send_text_messages(self, api: TwilioApi) -> None:
        assert isinstance(look("text messages"), NotTried), "none are to be sent"
        assert look("text messages", texting_from(NUMBER)) == f"{NUMBER} sends links to {PUBLIC}/demo/"
        assert api.texts == [], "none was"
        api.voice_only.add(NUMBER)
        (told,) = faults("text messages", texting_from(NUMBER))
        assert "can't send text messages" in told and "capabilities" in told
        (told,) = faults("text messages", texting_from("+15035550199"))
        assert "twilio.text_from: +15035550199 is not the account's" in told


class GuardedLine(SmallLine):
    """A line that lets in what is signed, and whatever stands in front of it. ``faults`` is what is wrong with them."""

    def __init__(self, token: str = SECRET) -> None:
        super().__init__()
        self.faults: set[str] = set()
        self.health: Callable[[], web.Response] = lambda: web.json_response({"ready": True})
        self.token = token
        self.public_url = ""

    def routes(self, application: web.Application) -> None:
        application.router.add_get("/health", self._health)

    async def _health(self, _request: web.Request) -> web.Response:
        return self.health()

    def _right(self, request: web.Request, scheme: str, fields: dict[str, str]) -> bool:
        url = (self.public_url or self.address).replace("http", scheme, 1) + request.path
        return RequestValidator(self.token).validate(url, fields, request.headers.get("X-Twilio-Signature", ""))

    async def _webhook(self, request: web.Request) -> web.StreamResponse:
        fields = {key: str(value) for key, value in (await request.post()).items()}
        if "no POST" in self.faults:
            return web.Response(status=405)
        if not self._right(request, "http", fields) and "takes all" not in self.faults:
            return web.Response(text="bad_signature", status=403)
        self.posted.append((request.match_info["name"], fields, {}))
        return web.Response(status=204 if request.match_info["name"] == "status" else 200)

    async def _media(self, request: web.Request) -> web.StreamResponse:
        if "no websockets" in self.faults:
            return web.Response(status=426)
        if not self._right(request, "ws", {}) and "opens for all" not in self.faults:
            return web.Response(status=403)
        return await super()._media(request)


class TestPublicAddress:
    @pytest.fixture
    def line(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedLine]:
        with in_thread(GuardedLine()) as running:
            monkeypatch.setenv("THROUGHLINE_PUBLIC_URL", running.address)
            # Everything is tried at this machine's own address; that Twilio could not reach it is another test's.
            monkeypatch.setattr(check_live, "reachable_by_twilio", lambda *_: [])
            yield running

    def test_a_line_that_lets_in_twilio_alone(self, line: GuardedLine) -> None:
        assert look("public address") == (
            f"{line.address}: reachable; refuses unsigned requests; takes signed ones; opens websockets for Twilio alone"
        )
        assert line.names() == ["status"], "no call was opened"
        assert all(message["event"] != "start" for stream in line.streams for message in stream.heard)

    def test_without_an_account_what_needs_no_signature_is_looked_at(
        self, line: GuardedLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("TWILIO_AUTH_TOKEN")
        assert look("public address").endswith("refuses unsigned requests; refuses unsigned websockets")

    @pytest.mark.parametrize(
        ("fault", "told"),
        [
            ("takes all", "takes requests that nobody has signed"),
            ("no POST", "answers 405 to a webhook"),
            ("no websockets", "answers 426 to a websocket. Mend: Let the tunnel or the proxy pass websockets"),
            ("opens for all", "opens for anybody"),
        ],
    )
    def test_a_fault_of_the_line_or_of_what_stands_in_front(self, line: GuardedLine, fault: str, told: str) -> None:
        line.faults = {fault}
        assert told in faults("public address")[0]

    def test_another_token_or_another_public_address_is_told_as_such(self, line: GuardedLine) -> None:
        line.token = "another"  # noqa: S105 - of nobody
        webhook, websocket = faults("public address")
        assert "refuses a request with a right signature (403 bad_signature)" in webhook
        assert f"THROUGHLINE_PUBLIC_URL={line.address}" in webhook
        assert "refuses a websocket with a right signature" in websocket
        line.token, line.public_url = SECRET, "http://voice.example"
        assert len(faults("public address")) == 2

    @pytest.mark.parametrize(
        ("health", "told"),
        [
            (lambda: web.Response(status=308, headers={"Location": "https://www.example/health"}), "redirects to https://www"),
            (lambda: web.json_response({"ready": False}, status=503), "is not ready"),
            (lambda: web.Response(text="<html>You are about to visit ...</html>"), "answers 200, and not as the line does"),
            (lambda: web.Response(status=404), "answers 404"),
            (lambda: web.json_response(["ready"]), "not as the line does"),
        ],
    )
    def test_what_answers_in_the_lines_place(self, line: GuardedLine, health: Callable[[], web.Response], told: str) -> None:
        line.health = health
        assert told in faults("public address")[0]

    def test_an_address_where_nothing_is(self, line: GuardedLine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("THROUGHLINE_PUBLIC_URL", "http://127.0.0.1:9")
        assert "does not answer (ConnectionError)" in faults("public address")[0]

    def test_a_certificate_of_its_own_is_told(self, line: GuardedLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with tls_server(tmp_path) as address:
            monkeypatch.setenv("THROUGHLINE_PUBLIC_URL", address)
            assert "has no valid certificate" in faults("public address")[0]


class tls_server:  # noqa: N801 - used as a function
    """A server whose certificate nobody has signed but itself."""

    def __init__(self, folder: Path) -> None:
        self._server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own_certificate(folder))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return f"https://localhost:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def own_certificate(folder: Path) -> Path:
    """A key and a certificate for ``localhost``, signed by that key, in one file."""
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / "own.pem"
    file.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    return file


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://localhost:5005", "this machine alone"),
        ("https://127.0.0.1", "this machine alone"),
        ("http://voice.example", "not https"),
        ("https://voice.example", ""),
    ],
)
def test_an_address_that_twilio_cannot_reach_is_told(address: str, told: str) -> None:
    problems = reachable_by_twilio(address, "THROUGHLINE_PUBLIC_URL")
    assert [problem for problem in problems if told in str(problem)] if told else problems == []


def test_a_doubt_is_told_with_its_mend_and_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loud: dict[str, str] = {}
    monkeypatch.setattr(check_command, "_PARTS", {"record's log": check_command._record_log})
    monkeypatch.setattr(check_command.bootstrap, "open_record", lambda _: SimpleNamespace(loud_settings=lambda: loud))
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["check"]) == 0
    assert "✓ record's log: what is stored stands in no log of the database's" in capsys.readouterr().out
    loud["log_min_error_statement = error"] = "ALTER DATABASE throughline SET log_min_error_statement = panic"
    assert main(["check"]) == 0
    printed = capsys.readouterr().out
    assert "! record's log: the database writes customers' words into its own log" in printed
    assert "Mend: as its superuser: ALTER DATABASE throughline SET log_min_error_statement = panic; then" in printed


def test_the_command_tells_the_parts_apart_and_ends_with_1_for_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_command, "_PARTS", {})
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    monkeypatch.setenv("THROUGHLINE_PUBLIC_URL", "http://127.0.0.1:9")
    assert main(["check"]) == 0
    assert "deepgram" not in capsys.readouterr().out
    assert main(["check", "--live"]) == 1
    printed = capsys.readouterr().out
    assert "- deepgram: DEEPGRAM_API_KEY is not set" in printed
    assert "✗ public address: http://127.0.0.1:9/health: does not answer" in printed
    assert "Mend: Start the line" in printed
