"""From a graph to an engine: the recipe, the build in a child process, and what it must pass."""

__all__ = [
    "build_process",
    "build_recipe",
    "build_worker",
    "child_process",
    "engine_acceptance",
    "engine_builder",
    "messages",
]
