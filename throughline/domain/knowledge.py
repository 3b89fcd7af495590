"""What the company can answer in writing: the topics of data/knowledge, as plain data.

Read from there by settings/knowledge.py, learned by nlu/knowledge_selector.py, said by actions/answer_policy.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """One section of a file. ``name`` is ``file#heading`` and its name everywhere; ``title`` is the file's own; ``asked_as`` are ways in
    which customers ask for it; ``answer`` is for the eye, ``spoken`` for the ear."""

    name: str
    title: str
    heading: str
    answer: str
    spoken: str
    asked_as: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything that is like a question for it."""
        return (*self.asked_as, self.heading, f"{self.title}: {self.heading}", *self.answer.split(". "))
