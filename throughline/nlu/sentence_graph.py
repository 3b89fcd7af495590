"""MiniLM's weights as an ONNX graph, without torch.

The sentence model's package carries the weights of all-MiniLM-L6-v2 (six BERT layers of 12 heads, 384 wide) as safetensors.
`build` writes the graph onnxruntime runs: its fused operators (domain ``com.microsoft``) for embedding, attention and layer
normalisation, then the mean over the tokens that are not padding, scaled to length one, as the model card prescribes.

Inputs ``input_ids`` and ``attention_mask``, int64 [batch, tokens]. Outputs ``tokens``, float32 [batch, tokens, 384], and
``sentence``, float32 [batch, 384]. Pure: weights in, graph out. `GRAPH_VERSION` is part of the cached file's name and must
change with anything, here or in its quantisation, that changes the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

GRAPH_VERSION = 2
WIDTH = 384
_LAYERS = 6
_HEADS = 12
_EPSILON = 1e-12
_OPSET = 17
_IR_VERSION = 8
_FUSED = "com.microsoft"

Weights = Mapping[str, npt.NDArray[np.float32]]


class _Graph:
    """Collects nodes and constants in the order they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output


def build(weights: Weights) -> Any:
    """The ``onnx.ModelProto`` of the model, in float32. ``weights``: the safetensors file's tensors by name."""
    graph = _Graph()
    state = _embedding(graph, weights)
    for layer in range(_LAYERS):
        state = _encoder_layer(graph, weights, layer, state)
    tokens = graph.add("Identity", [state], "tokens")
    _mean_over_tokens(graph, tokens)
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", "length", WIDTH]),
        helper.make_tensor_value_info("sentence", TensorProto.FLOAT, ["batch", WIDTH]),
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", ids, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)],
    )
    model.ir_version = _IR_VERSION
    # Says that there is nothing left to fuse: the quantiser otherwise advises a pre-processing step at every build.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.checker.check_model(model)
    return model


def _embedding(graph: _Graph, weights: Weights) -> str:
    """Word + position + token type, normalised. One sentence at a time: the type is always 0 and joins the positions."""
    graph.add("Cast", ["input_ids"], "ids", to=TensorProto.INT32)
    graph.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    words = graph.constant("words", weights["embeddings.word_embeddings.weight"])
    token_type = weights["embeddings.token_type_embeddings.weight"][0]
    positions = graph.constant("positions", weights["embeddings.position_embeddings.weight"] + token_type)
    gamma = graph.constant("embedding_gamma", weights["embeddings.LayerNorm.weight"])
    beta = graph.constant("embedding_beta", weights["embeddings.LayerNorm.bias"])
    # The operator also declares a mask index; the attention below takes the mask itself.
    node = helper.make_node(
        "EmbedLayerNormalization",
        ["ids", "", words, positions, "", gamma, beta],
        ["embedded", "unused_mask_index"],
        domain=_FUSED,
        epsilon=_EPSILON,
    )
    graph.nodes.append(node)
    return "embedded"


def _encoder_layer(graph: _Graph, weights: Weights, layer: int, state: str) -> str:
    """Self-attention and feed-forward, each with its residual and layer normalisation."""
    prefix = f"encoder.layer.{layer}."
    attention = prefix + "attention.self."
    parts = ("query", "key", "value")
    qkv = np.concatenate([weights[f"{attention}{part}.weight"].T for part in parts], axis=1)
    qkv_bias = np.concatenate([weights[f"{attention}{part}.bias"] for part in parts])

    def constant(name: str, value: npt.NDArray[Any]) -> str:
        return graph.constant(f"layer{layer}_{name}", value)

    def dense(name: str, source: str, key: str) -> str:
        weight = constant(f"{name}_weight", weights[f"{prefix}{key}.weight"].T)
        return graph.add("MatMul", [source, weight], f"layer{layer}_{name}")

    def add_and_normalise(name: str, new: str, old: str, key: str) -> str:
        norm = f"{prefix}{key}.LayerNorm"
        gamma = constant(f"{name}_gamma", weights[f"{norm}.weight"])
        beta = constant(f"{name}_beta", weights[f"{norm}.bias"])
        bias = constant(f"{name}_bias", weights[f"{prefix}{key}.dense.bias"])
        inputs = [new, old, gamma, beta, bias]
        return graph.add("SkipLayerNormalization", inputs, f"layer{layer}_{name}", domain=_FUSED, epsilon=_EPSILON)

    heads_in = [state, constant("qkv_weight", qkv), constant("qkv_bias", qkv_bias), "mask"]
    attended = graph.add("Attention", heads_in, f"layer{layer}_attended", domain=_FUSED, num_heads=_HEADS)
    projected = dense("projected", attended, "attention.output.dense")
    middle = add_and_normalise("middle", projected, state, "attention.output")
    widened = dense("widened", middle, "intermediate.dense")
    widened_bias = constant("widened_bias", weights[f"{prefix}intermediate.dense.bias"])
    activated = graph.add("BiasGelu", [widened, widened_bias], f"layer{layer}_activated", domain=_FUSED)
    narrowed = dense("narrowed", activated, "output.dense")
    return add_and_normalise("output", narrowed, middle, "output")


def _mean_over_tokens(graph: _Graph, tokens: str) -> None:
    axis_1 = graph.constant("axis_1", np.array([1], np.int64))
    axis_2 = graph.constant("axis_2", np.array([2], np.int64))
    graph.add("Cast", ["attention_mask"], "weight", to=TensorProto.FLOAT)
    graph.add("Unsqueeze", ["weight", axis_2], "token_weight")
    graph.add("Mul", [tokens, "token_weight"], "weighted")
    graph.add("ReduceSum", ["weighted", axis_1], "total", keepdims=0)
    graph.add("ReduceSum", ["weight", axis_1], "count", keepdims=1)
    graph.add("Div", ["total", "count"], "mean")
    graph.add("LpNormalization", ["mean"], "sentence", axis=1, p=2)
