"""Rasa's importer of the training files (config.yml, ``importers``), which tells ``rasa data validate`` what rules and stories don't show.

Rasa's check warns of every response that stands in no rule and no story. Here most responses are said by actions and channels, or asked by
the form: their warnings would bury the one that matters. So the check is told what code and forms say (`settings.responses`), and
warns of what really nobody says. What is imported stays as it is.
"""

from __future__ import annotations

from pathlib import Path

from rasa.shared.core.events import ActionExecuted
from rasa.shared.importers.rasa import RasaFileImporter
from rasa.validator import Validator

from throughline.settings import responses
from throughline.settings.business import load_business
from throughline.settings.server import load_settings

_named_responses = Validator._gather_utterance_actions


class TrainingFiles(RasaFileImporter):
    """Rasa's own, unchanged: that config.yml names it brings this module into Rasa's check."""


def _to_be_said_in_rules(validator: Validator) -> set[str]:
    """Stands in for Validator._gather_utterance_actions: without what is said elsewhere and in no rule or story."""
    in_rules = {
        event.action_name
        for step in validator.story_graph.story_steps
        for event in step.events
        if isinstance(event, ActionExecuted)
    }
    forms = {name: {"required_slots": validator.domain.required_slots_for_form(name)} for name in validator.domain.form_names}
    business = load_business(Path(load_settings().business_dir))
    elsewhere = {*responses.said_by_code(), *responses.asked_by_forms(forms), *responses.put_together(business)}
    named = set(_named_responses(validator))
    elsewhere |= responses.in_other_words(named, elsewhere | in_rules)
    return named - (elsewhere - in_rules)


Validator._gather_utterance_actions = _to_be_said_in_rules
