"""The operator's settings: read, checked, and every one of them documented."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from throughline.errors import ConfigurationError
from throughline.settings.server import Settings, load_settings

pytestmark = pytest.mark.unit

README = Path(__file__).parents[3] / "README.md"


def keys(cls: type, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every setting's dotted key and default."""
    types = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(types[field.name]):
            yield from keys(typing.cast(type, types[field.name]), f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.default


@pytest.mark.parametrize(("key", "default"), keys(Settings))
def test_every_setting_stands_in_the_readme_with_its_default(key: str, default: object) -> None:
    shown = "(none)" if default in ((), "") else str(default).lower() if isinstance(default, bool) else default
    assert f"| `{key}` | `{shown}` |" in README.read_text()


def test_the_projects_own_file_is_right() -> None:
    assert load_settings() == Settings()


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "endpoints.yml"
    file.write_text(text)
    return file


def test_all_faults_at_once_with_line_and_mend(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "throughline:\n  chat:\n    message_chars: 5\n    mesages_per_minute: 3\n"
        "  phone:\n    max_calls: many\n  site:\n    allowed_origins: x\n",
    )
    with pytest.raises(ConfigurationError) as error:
        load_settings(file)
    assert {problem.where for problem in error.value.problems} == {
        f"{file}:4 throughline.chat.mesages_per_minute",
        f"{file}:3 throughline.chat.message_chars",
        f"{file}:6 throughline.phone.max_calls",
        f"{file}:8 throughline.site.allowed_origins",
    }
    assert "Did you mean `messages_per_minute`?" in str(error.value)
    assert "Allowed: 50 to 10000." in str(error.value)


@pytest.mark.parametrize("text", ["throughline: 7\n", "throughline: [a]\n", "a: [\n", "- a\n"])
def test_what_is_no_mapping_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"endpoints\.yml"):
        load_settings(written(tmp_path, text))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        load_settings(tmp_path / "endpoints.yml")


def test_the_environment_wins_where_a_setting_names_a_variable(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "throughline:\n  database:\n    url: sqlite:///a.db\n    url_env: PLACE\n"))
    assert settings.database_url({}) == "sqlite:///a.db"
    assert settings.database_url({"PLACE": "sqlite:///b.db"}) == "sqlite:///b.db"
    assert settings.public_url({"THROUGHLINE_PUBLIC_URL": "https://a.example/"}) == "https://a.example"


@pytest.mark.parametrize("name", ["transfer_to", "text_from"])
@pytest.mark.parametrize("number", ["5035550100", "+0123456789", "+1 503 555 0100", "+1503555010a", "+1"])
def test_a_number_to_put_calls_through_to_or_to_text_from_is_e164(tmp_path: Path, name: str, number: str) -> None:
    file = written(tmp_path, f'throughline:\n  twilio:\n    {name}: "{number}"\n')
    with pytest.raises(ConfigurationError, match=rf"endpoints\.yml:3 throughline\.twilio\.{name}.*no telephone number"):
        load_settings(file)


@pytest.mark.parametrize(("key", "seconds"), [("lock_lifetime_s", 30), ("lock_wait_s", 25)])
def test_a_lock_is_waited_for_longer_than_it_lives(tmp_path: Path, key: str, seconds: int) -> None:
    file = written(tmp_path, f"throughline:\n  database:\n    {key}: {seconds}\n")
    with pytest.raises(
        ConfigurationError, match=rf"endpoints\.yml:3 throughline\.database\.{key}: a lock lives for .*Mend: Make"
    ):
        load_settings(file)


@pytest.mark.parametrize("flux", ["eager_eot_threshold: 0.2", "eot_threshold: 0.5\n      eager_eot_threshold: 0.6"])
def test_flux_cannot_be_eager_below_or_above_what_deepgram_takes(tmp_path: Path, flux: str) -> None:
    with pytest.raises(ConfigurationError, match=r"speech\.deepgram\.eager_eot_threshold: 0\.\d is neither 0 nor from 0\.3"):
        load_settings(written(tmp_path, f"throughline:\n  speech:\n    deepgram:\n      {flux}\n"))


@pytest.mark.parametrize("eager", [0, 0.3, 0.7])
def test_flux_may_be_eager_or_not(tmp_path: Path, eager: float) -> None:
    text = f"throughline:\n  speech:\n    deepgram:\n      eager_eot_threshold: {eager}\n"
    assert load_settings(written(tmp_path, text)).speech.deepgram.eager_eot_threshold == eager
