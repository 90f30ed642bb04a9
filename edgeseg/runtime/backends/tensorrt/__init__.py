"""Native TensorRT: engines that the device builds from a bundle's graph, keeps and runs."""

__all__ = [
    "building",
    "engine_provider",
    "equivalent_commands",
    "layer_inspection",
    "libraries",
    "native_runner",
    "version_differences",
]
