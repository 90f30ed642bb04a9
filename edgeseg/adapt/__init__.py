"""Rounds of adaptation: pull what devices logged, retrain, judge the new bundle against the one in
use, and publish it if it is no worse.

`round_runner.run_round` runs a round; `gate` holds the rule by which champion and challenger are
judged.
"""

__all__ = ["publish", "round_review", "round_runner", "round_status"]
