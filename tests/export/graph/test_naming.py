"""Names follow from the structure of a network."""

from __future__ import annotations

from onnx import ModelProto

from edgeseg.export.graph.naming import canonicalize_names


def test_names_follow_from_the_structure(lowered: ModelProto) -> None:
    names = [node.name for node in lowered.graph.node]
    assert len(set(names)) == len(names)
    assert "encoder.model.conv_stem" in names and "classifier" in names
    scrambled = ModelProto()
    scrambled.CopyFrom(lowered)
    table = {
        name: f"t{number}"
        for number, name in enumerate({o for n in lowered.graph.node for o in n.output})
    }
    table.pop("logits")
    for node in scrambled.graph.node:
        node.name = ""
        node.input[:] = [table.get(name, name) for name in node.input]
        node.output[:] = [table.get(name, name) for name in node.output]
    assert canonicalize_names(scrambled).SerializeToString() == lowered.SerializeToString()
