"""Rasa's graph of components, run one after the other in an order that is worked out once.

Rasa 3.6 hands its graph to a task scheduler for every message and again for every predicted action; for a dozen nodes on one
thread the scheduler costs more than most of the nodes. What always holds: the same nodes get the same inputs and run after what they
need, as with Rasa's own runner, whose loaded nodes these are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rasa.engine.graph import GraphNode, GraphSchema
from rasa.engine.runner.dask import DaskGraphRunner

_Plan = tuple[tuple[str, GraphNode, tuple[str, ...]], ...]


class InOrder:
    """Stands in for a ``DaskGraphRunner`` as ``MessageProcessor.graph_runner``, of which only ``run`` is used after loading."""

    def __init__(self, loaded: DaskGraphRunner) -> None:
        self._schema: GraphSchema = loaded._graph_schema
        self._nodes: Mapping[str, GraphNode] = loaded._instantiated_nodes
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def run(self, inputs: Mapping[str, Any] | None = None, targets: Sequence[str] | None = None) -> dict[str, Any]:
        """The outputs of ``targets`` (default: the graph's own) by node name. ``inputs`` are values by the names that nodes ask for.
        Raises what a component raises, as GraphComponentException, and KeyError for an input that is not given."""
        wanted = tuple(targets or self._schema.target_names)
        if wanted not in self._plans:
            self._plans[wanted] = self._plan(wanted)
        found = dict(inputs or {})
        for name, node, needs in self._plans[wanted]:
            _, found[name] = node(*[(need, found[need]) for need in needs])
        return {name: found[name] for name in wanted}

    def _plan(self, targets: Sequence[str]) -> _Plan:
        """The nodes that ``targets`` need, each after those it needs itself."""
        order: dict[str, None] = {}

        def visit(name: str) -> None:
            schema_node = self._schema.nodes.get(name)
            if schema_node is None or name in order:  # what is no node is an input
                return
            for need in schema_node.needs.values():
                visit(need)
            order[name] = None

        for target in targets:
            visit(target)
        return tuple((name, self._nodes[name], tuple(self._schema.nodes[name].needs.values())) for name in order)
