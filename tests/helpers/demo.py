"""The smallest demo."""

from __future__ import annotations

from dataclasses import replace

from edgeseg.demo.demo_site import QUICK

TINY_DEMO = replace(QUICK, footage=8, labelled=2, val=2, gate=2, gate_autumn=2, video=6, truth=2)
