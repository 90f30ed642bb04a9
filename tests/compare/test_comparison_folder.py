"""A folder holds one comparison, to which methods and seeds may be added."""

from __future__ import annotations

import pytest

from edgeseg.compare.comparison_folder import claim_folder, load_stored_plan
from edgeseg.compare.plan import ComparisonPlan
from edgeseg.errors import TrainError
from edgeseg.site import Site
from tests.helpers.comparison import tiny_config


def test_methods_and_seeds_can_be_added_on_resumption_and_nothing_else_changed(site: Site) -> None:
    out = site.root / "runs" / "compare" / "exp1"
    small, large = (("suponly",), 1), (("suponly", "u2pl"), 2)
    for (methods, seeds), resume in ((small, False), (large, True), (large, True)):
        claim_folder(site, ComparisonPlan(tiny_config(), methods, seeds), out, resume=resume)
        assert load_stored_plan(out) == (methods, seeds)
    with pytest.raises(TrainError, match="can be added to it but not taken away"):
        claim_folder(site, ComparisonPlan(tiny_config(), *small), out, resume=True)
    with pytest.raises(TrainError, match=r"another configuration \(steps"):
        claim_folder(site, ComparisonPlan(tiny_config(steps=9), *large), out, resume=True)
    with pytest.raises(TrainError, match="already holds a comparison"):
        claim_folder(site, ComparisonPlan(tiny_config(), *large), out, resume=False)
    mask = site.root / "1-mask.png"
    before = mask.read_bytes()
    mask.write_bytes((site.root / "2-mask.png").read_bytes())
    with pytest.raises(TrainError, match="frames have changed"):
        claim_folder(site, ComparisonPlan(tiny_config(), *large), out, resume=True)
    mask.write_bytes(before)
    claim_folder(site, ComparisonPlan(tiny_config(), *large), out, resume=True)
    site.save_frames([frame for frame in site.frames() if frame.id != "f8"])
    with pytest.raises(TrainError, match="frames have changed"):
        claim_folder(site, ComparisonPlan(tiny_config(), *large), out, resume=True)
