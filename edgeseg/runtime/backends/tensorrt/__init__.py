"""Native TensorRT: engines that the device builds from a bundle's graph, keeps and runs."""

__all__ = [
    "build_worker",
    "engine_acceptance",
    "engine_cache",
    "engine_provider",
    "equivalent_commands",
    "layer_inspection",
    "native_runner",
]
