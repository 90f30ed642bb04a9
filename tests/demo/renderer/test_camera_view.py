"""Lines of sight and their mirror images."""

from __future__ import annotations

import numpy as np

from edgeseg.demo.renderer.camera_view import Pose, camera_rays, reflect_rays


def test_a_ray_leaves_the_water_where_it_met_it() -> None:
    view = camera_rays(Pose(), 48, 64)
    mirrored, t = reflect_rays(view, 0.3)
    rows = slice(30, 48)
    there, back = view.at(t), mirrored.at(t)
    for one, other in zip(there, back, strict=True):
        assert np.allclose(one[rows], other[rows], atol=1e-3)
    assert np.allclose(there[1][rows], 0.3, atol=1e-3)
    assert np.array_equal(view.direction[1], -mirrored.direction[1])
