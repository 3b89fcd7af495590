"""data/business as it ships, and what an editor is told when it is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from throughline.errors import ConfigurationError
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

SHIPPED = Path("data/business")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "business"))


def spoil(folder: Path, name: str, old: str, new: str) -> None:
    file = folder / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_what_ships_is_right() -> None:
    business = load_business(SHIPPED)
    assert business.territory_of("97201") is not None
    assert business.territory_of("10001") is None
    for service in business.services.values():
        served = [one.name for one in business.territories if business.qualified(service.appliance, one)]
        assert served == [one.name for one in business.territories], f"nobody repairs a {service.appliance} in some territory"


def test_the_page_is_told_what_it_shows() -> None:
    facts = load_business(SHIPPED).public_facts()
    assert facts["hours"][0] == {"days": "Monday\N{EN DASH}Friday", "opens": "07:30", "closes": "18:00"}
    assert facts["prices"][0] == {"name": "Visit of a technician", "price": "$89"}
    assert "Portland, OR" in facts["territories"]


@pytest.mark.parametrize(
    ("name", "old", "new", "where", "what"),
    [
        ("company.yml", "America/Los_Angeles", "Mars/Olympus", "company.yml:6 timezone", "no time zone"),
        ("company.yml", '"+15035550142"', '"555-0142"', "company.yml:4 phone", "not E.164"),
        ("hours.yml", '"18:00"}', '"25:00"}', "hours.yml:3 office[0]", "can't be read"),
        ("hours.yml", '"07:30"', '"19:30"', "hours.yml:3 office[0]", "closes before it opens"),
        ("hours.yml", '"07-04"', '"4 July"', "closed", "no day of the year"),
        ("journeys.yml", "can_go_without: [phone_number]", "can_go_without: [postcode]", "journeys[9]", "can't go without"),
        ("hours.yml", '"07-04"', '"Whitsun"', "closed", "no day of the year"),
        ("hours.yml", '"4th thursday of november"', '"5th thursday of november"', "holidays", "no day of the year"),
        ("hours.yml", "monday, tuesday", "mnday, tuesday", "hours.yml:3 office.days", "mnday"),
        ("phone.yml", "slowest: 0.7", "slowest: 7", "phone.yml:113 speed.slowest", "7"),
        ("phone.yml", "filler_after_ms: 1000", "filler_after_ms: 1", "phone.yml:107 filler_after_ms", "is 1"),
        ("lexicon.yml", "Bosch: Bosh", "Bosch: <b>Bosh</b>", "lexicon.yml:5 terms.Bosch", "markup"),
        ("lexicon.yml", "Bosch: Bosh", 'Bosch: "-"', "lexicon.yml:5 terms.Bosch", "nothing could be said"),
        ("lexicon.yml", "GE: G E", "bosch: G E", "lexicon.yml:10 terms.bosch", "stands here twice"),
        ("lexicon.yml", "GE: G E", "GE: [G, E]", "lexicon.yml:10 terms.GE", "must be a text"),
        ("lexicon.yml", "  oh: oh", '  oh: ""', "signs.oh", "is empty"),
        ("lexicon.yml", "units: {", "unit: {", "lexicon.yml:22 unit", "is not a known key"),
        (
            "phone.yml",
            '"Thank you. A colleague will call you back. Goodbye."',
            '" "',
            "phone.yml:33 line",
            "message_taken is empty",
        ),
        ("phone.yml", '"1": "yes"', '"11": "yes"', "phone.yml:57 keys.yes_no", "no single key"),
        ("phone.yml", '"2": "no"', '"2": ""', "phone.yml:57 keys.yes_no", "says nothing"),
        ("phone.yml", "offered_for: [visit_day", "offered_for: [vist_day", "phone.yml:60 keys.offered_for", "no question asks"),
        ("phone.yml", "  voice: Polly.Joanna\n", "", "phone.yml", "voice"),
        ("phone.yml", "[uh huh, uhhuh", "[Uh-huh, uhhuh", "phone.yml:98 listening.backchannels", "never be heard"),
        ("prices.yml", "callout: 89", "callout: free", "prices.yml:2 callout", "whole number"),
        ("prices.yml", "  dryer: {low: 140, high: 320}\n", "", "prices.yml", "dryer"),
        ("prices.yml", "{low: 140, high: 320}", "{low: 400, high: 320}", "prices.yml", "low above its high"),
        ("territories.yml", '["973"]', '["97x"]', "territories.yml:4", "begins no ZIP code"),
        ("services.yml", "minutes: 90}", "minutes: 5}", "services.yml:3", "5"),
        ("technicians.yml", "skills: [laundry, kitchen]", "skills: [laundry, plumbing]", "technicians.yml:3", "plumbing"),
        ("technicians.yml", "[Portland, Vancouver]", "[Portland, Boise]", "technicians.yml:3", "Boise"),
        ("territories.yml", "{name: Salem,", "{name: Portland,", "territories.yml:4 territories[1]", "another 'Portland'"),
        ("territories.yml", "within_minutes: 15", "within_minutes: -1", "territories.yml:10 travel.within_minutes", "-1"),
        ("territories.yml", "  other_minutes: 90 ", "  others_minutes: 90 ", "territories.yml:11", "not a known key"),
        ("territories.yml", "[Portland, Vancouver], m", "[Portland, Boise], m", "territories.yml:13 travel.ways[0]", "Boise"),
        (
            "territories.yml",
            "[Portland, Salem], m",
            "[Salem, Salem], m",
            "territories.yml:14 travel.ways[1]",
            "not between two",
        ),
        ("territories.yml", "[Portland, Salem], m", "[Portland], m", "territories.yml:14 travel.ways[1]", "not between two"),
        (
            "territories.yml",
            "[Portland, Salem], m",
            "[Vancouver, Portland], m",
            "territories.yml:14 travel.ways[1]",
            "stand above",
        ),
        ("sla.yml", "  kitchen: ", "  kitchens: ", "sla.yml:7 urgent.kitchens", "no service needs the skill"),
        (
            "sla.yml",
            "  kitchen: {within_hours: 48, held_windows: 0}\n",
            "",
            "sla.yml:5 urgent",
            "nothing about the skill 'kitchen'",
        ),
        ("sla.yml", "within_hours: 24", "within_hours: 0", "sla.yml:8 urgent.cooling.within_hours", "0"),
        ("sla.yml", "within_hours: 24", "within_hours: 720", "sla.yml:8 urgent.cooling", "14 days ahead only"),
        ("thresholds.yml", "urgent_lead_minutes: 60", "urgent_lead_minutes: 1500", "sla.yml:9 urgent.heating", "1500 minutes"),
        (
            "sla.yml",
            "within_hours: 24, held_windows: 1",
            "within_hours: 24, held_windows: 9",
            "sla.yml:8 urgent.cooling",
            "all are held",
        ),
        ("sla.yml", "held_until_days_before: 1 ", "held_until_days_before: x ", "sla.yml:10", "whole number"),
        ("thresholds.yml", "days_ahead: 14", "day_ahead: 14", "thresholds.yml", "not a known key"),
        ("phone.yml", "urgent: yes_no", "urgent: maybe", "expects", "maybe"),
        ("phone.yml", "  brand: [Bosch,", "  brand: ['<b>',", "key_terms", "'<b>' can't be listened for"),
        ("phone.yml", "  brand: [Bosch,", "  brands: [Bosch,", "key_terms", "no question asks for 'brands'"),
        (
            "phone.yml",
            "  always: []",
            f"  always: [{', '.join(f'Name{n}' for n in range(99))}]",
            "key_terms",
            " terms, of some ",
        ),
        ("journeys.yml", "needs: [which_visit, sure]", "needs: [which_visit, shure]", "journeys[2]", "'shure'"),
        ("journeys.yml", "once: [product]", "once: [invoice]", "journeys[4]", "'invoice' stands in `once` alone"),
        ("journeys.yml", "begins: [complain]", "begins: [want_quote]", "journeys[7]", "begins 'quote' already"),
        ("journeys.yml", "journey: message", "journey: complaint", "journeys[9]", "stands here twice"),
        ("journeys.yml", "finds: [visit_reference, visit_postcode]", "finds: [visit_postcode]", "journeys[1]", "other facts"),
        (
            "journeys.yml",
            "    needs: [appliance, problem,",
            "    finds: [visit_reference, visit_postcode]\n    needs: [appliance, problem,",
            "journeys[0]",
            "about none",
        ),
        ("payment.yml", "most_parts: 4", "most_parts: 0", "payment.yml:3 most_parts", "0"),
        (
            "prices.yml",
            "furnace: {low: 3800, high: 7500}",
            "furnace: {low: 9800, high: 7500}",
            "installed",
            "low above its high",
        ),
        ("phone.yml", "code_pauses: 2", "code_pauses: 0", "phone.yml:29 code_pauses", "0"),
        ("words.yml", "months: [January, ", "months: [", "words.yml", "11 entries"),
        ("retention.yml", "people_days: 730", "people_days: -1", "retention.yml:3 people_days", "-1"),
        ("retention.yml", "calls_days: 90", "calls_day: 90", "retention.yml", "not a known key"),
    ],
)
def test_each_fault_is_told_with_its_place_and_mend(folder: Path, name: str, old: str, new: str, where: str, what: str) -> None:
    spoil(folder, name, old, new)
    with pytest.raises(ConfigurationError) as raised:
        load_business(folder)
    fitting = [
        problem for problem in raised.value.problems if where in problem.where and what in f"{problem.where} {problem.what}"
    ]
    assert fitting, [str(problem) for problem in raised.value.problems]
    assert all(problem.mend for problem in raised.value.problems)


def test_all_faults_are_told_at_once(folder: Path) -> None:
    spoil(folder, "company.yml", "America/Los_Angeles", "Mars/Olympus")
    spoil(folder, "prices.yml", "callout: 89", "callout: -1")
    (folder / "hours.yml").unlink()
    with pytest.raises(ConfigurationError) as raised:
        load_business(folder)
    files = {Path(problem.where.split(":")[0].split(" ")[0]).name for problem in raised.value.problems}
    assert files == {"company.yml", "prices.yml", "hours.yml"}
