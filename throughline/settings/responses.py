"""Checks that every response of the domain is said by somebody, and that what is said or named is there.

Rules and stories say some of them; the rest is said by actions, by the channels and by Rasa's form, which asks for a slot with
``utter_ask_<slot>``. What code says is read out of the code itself: a response named there as it is, and families that it puts together
out of a name ("utter_guess_" and an intent). ``throughline check`` prints what is found; `nlu.training_files` tells Rasa's own check.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from throughline.domain.company import Business
from throughline.domain.facts import ABOUT_THE_PERSON
from throughline.errors import Problem
from throughline.settings.checked_yaml import line_of, load_mapping

CODE = (Path("actions"), Path("channels"), Path("throughline"))
RULES = (Path("data/rules"), Path("data/stories"))
_NAME = re.compile(r"utter_[a-z0-9_]*[a-z0-9]")
_OF_RASA = ("utter_action",)  # the key of Rasa's metadata that names a response, and none itself
_CASE_OPENED = "action_open_case"
_ALSO_ASKED = {"sure_late"}  # "sure?" where a change costs something (actions/questions.py)
_AGAIN = "_again"


def said_by_code(folders: Iterable[Path] = CODE) -> dict[str, str]:
    """Each response that code below ``folders`` names as it is, with where (``file:line``) it does first."""
    named: dict[str, str] = {}
    for file in sorted(file for folder in folders for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
                named.setdefault(node.value, f"{file}:{node.lineno}")
    return {name: where for name, where in named.items() if name not in _OF_RASA}


def asked_by_forms(forms: Mapping[str, Any]) -> set[str]:
    """The questions of the domain's forms, and their plainer ones."""
    slots = {slot for form in forms.values() for slot in (form or {}).get("required_slots") or ()}
    slots |= _ALSO_ASKED if "sure" in slots else set()
    return {f"utter_{how}_{slot}" for how in ("ask", "again") for slot in slots} | {
        f"utter_why_{slot}" for slot in slots if slot in ABOUT_THE_PERSON
    }


def put_together(business: Business) -> dict[str, str]:
    """The responses whose names are put together out of what stands in data/business, each with the file that calls for it. All of them
    have to be there."""
    guesses = {f"utter_guess_{intent}": "dialogue.yml guesses" for intent in business.dialogue.guesses}
    ends = {
        f"utter_done_{one.journey}": "journeys.yml journeys" for one in business.journeys.journeys if one.ends == _CASE_OPENED
    }
    return guesses | ends


def in_other_words(names: Iterable[str], said: Iterable[str]) -> set[str]:
    """Those of ``names`` that say one of ``said`` in other words, when somebody asks "what?" (actions/repeat.py)."""
    known = set(said)
    return {name for name in names if name.endswith(_AGAIN) and name.removesuffix(_AGAIN) in known}


def said_in_rules(folders: Iterable[Path] = RULES) -> dict[str, str]:
    """Each response that rules and stories say, with where (``file:line``) it is said first."""
    said: dict[str, str] = {}
    for file in sorted(file for folder in folders for file in folder.rglob("*.yml")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            step = re.match(r"\s*- action:\s*(utter_\w+)", line)
            if step:
                said.setdefault(step.group(1), f"{file}:{number}")
    return said


def check_responses(
    domain_file: Path, business: Business, *, code: Iterable[Path] = CODE, rules: Iterable[Path] = RULES
) -> list[Problem]:
    """A problem for each response of ``domain_file`` that nobody says, and for each that is said and does not stand there."""
    problems = list[Problem]()
    domain = load_mapping(domain_file, problems)
    if problems:
        return problems
    responses = domain.get("responses") or {}
    named = put_together(business) | said_by_code(code) | said_in_rules(rules)
    said = {*named, *asked_by_forms(domain.get("forms") or {})}
    said |= in_other_words(responses, said)
    for name in responses:
        if name not in said:
            mend = _mend(str(name), [other for other in named if other not in responses])
            problems.append(Problem(f"{domain_file}:{line_of(responses, name)} responses.{name}", "nobody says it.", mend))
    heard_whole = dict.fromkeys(business.phone.listening.uninterruptible, "phone.yml listening.uninterruptible")
    for name, where in sorted((heard_whole | named).items()):
        if name not in responses:
            mend = f"Add `{name}` to the responses of {domain_file}, or correct its name there."
            problems.append(Problem(where, f"{name} is said here, and does not stand in {domain_file}.", mend))
    return problems


def check_intents(domain_file: Path, business: Business) -> list[Problem]:
    """A problem for each intent that phone.yml names and ``domain_file`` does not have."""
    problems = list[Problem]()
    known = [str(intent) for intent in load_mapping(domain_file, problems).get("intents") or ()]
    for name in business.phone.listening.whole_intents:
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            mend = f"Is `{near[0]}` meant?" if near else f"Take it out, or add it to the intents of {domain_file}."
            problems.append(Problem("phone.yml listening.whole_intents", f"there is no intent {name!r}.", mend))
    return problems


def _mend(name: str, missing: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(missing), n=1)
    if near:
        return f"Call it `{near[0]}`: that is said and missing."
    return "Say it in a rule of data/rules, or take it out."
