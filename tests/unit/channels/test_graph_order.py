"""The graph run in a fixed order gives what Rasa's own runner gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rasa.engine.exceptions import GraphComponentException
from rasa.engine.graph import ExecutionContext, GraphComponent, GraphSchema, SchemaNode
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage

from channels.graph_order import InOrder

pytestmark = pytest.mark.unit

ran: list[str] = []


class Part(GraphComponent):
    """Notes that it ran, and says so."""

    def __init__(self, name: str) -> None:
        self._name = name

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> Part:
        """As Rasa makes them."""
        return cls(config["name"])

    def run(self, first: Any = "", second: Any = "") -> str:
        """Both inputs in its name's brackets."""
        if first == "fail":
            raise ValueError("as told")
        ran.append(self._name)
        return f"{self._name}({first}{second})"


def node(name: str, *needs: str, target: bool = False) -> SchemaNode:
    inputs = dict(zip(("first", "second"), needs, strict=False))
    return SchemaNode(
        needs=inputs, uses=Part, fn="run", constructor_name="create", config={"name": name}, eager=True, is_target=target
    )


@pytest.fixture
def rasas_own(tmp_path: Path) -> DaskGraphRunner:
    nodes = {
        "policy": node("policy", "intents", "tracker", target=True),
        "intents": node("intents", "features"),
        "entities": node("entities", "features", "tracker", target=True),
        "features": node("features", "message"),
        "unused": node("unused", "message"),
    }
    schema = GraphSchema(nodes)
    return DaskGraphRunner(schema, LocalModelStorage.create(tmp_path), ExecutionContext(schema))


INPUTS = {"message": "hello", "tracker": "T"}


@pytest.mark.parametrize("targets", [None, ["intents"], ["entities", "policy"], ["features"]])
def test_the_same_comes_out(rasas_own: DaskGraphRunner, targets: list[str] | None) -> None:
    in_order = InOrder(rasas_own)
    for _ in range(2):  # worked out, and remembered
        assert in_order.run(INPUTS, targets) == rasas_own.run(INPUTS, targets)


def test_each_node_runs_once_after_what_it_needs_and_no_other(rasas_own: DaskGraphRunner) -> None:
    ran.clear()
    InOrder(rasas_own).run(INPUTS, ["policy", "entities"])
    assert sorted(ran) == ["entities", "features", "intents", "policy"]
    assert ran.index("features") < ran.index("intents") < ran.index("policy")


def test_what_a_component_raises_comes_out_as_from_rasas_own(rasas_own: DaskGraphRunner) -> None:
    for runner in (rasas_own, InOrder(rasas_own)):
        with pytest.raises(GraphComponentException):
            runner.run({"message": "fail", "tracker": "T"}, ["policy"])


def test_a_missing_input_is_an_error(rasas_own: DaskGraphRunner) -> None:
    with pytest.raises(KeyError, match="tracker"):
        InOrder(rasas_own).run({"message": "hello"}, ["policy"])
