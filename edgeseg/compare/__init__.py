"""Comparison of training methods on a site: runs at one budget, a table and a recommendation.

The package can be called: `edgeseg.compare(site, ...)` is `edgeseg.compare.comparison.compare`.
"""

from edgeseg.lazy import callable_package

callable_package(__name__, "edgeseg.compare.comparison", "compare")

__all__ = ["comparison", "comparison_folder", "plan", "result_table", "variants"]
