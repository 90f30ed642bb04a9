"""Thresholds that are fitted on val: temperature, gamma, log threshold."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.export.evaluation.thresholds import (
    fit_gamma,
    fit_temperature,
    frame_scores,
    log_threshold,
)


def test_the_temperature_is_found_again() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (40_000, 4)).astype(np.float32)
    weights = np.exp(logits / 2.5)
    draws = random.random((len(logits), 1)) * weights.sum(1, keepdims=True)
    labels = (weights.cumsum(1) < draws).sum(1).astype(np.uint8)
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.03)


def test_the_temperature_of_a_perfect_model_stays_within_its_bounds() -> None:
    labels = np.arange(300, dtype=np.uint8) % 3
    logits = np.eye(3, dtype=np.float32)[labels]
    assert 0.05 <= fit_temperature(logits, labels) < 0.06


def test_a_share_alpha_lies_above_gamma() -> None:
    entropies = [
        np.random.default_rng(seed).random((12, 16)).astype(np.float32) ** 3 for seed in range(20)
    ]
    gamma = fit_gamma(entropies, 0.2)
    found = frame_scores(entropies, gamma)
    assert found.mean() == pytest.approx(0.2, abs=1e-3) and gamma == float(np.float32(gamma))
    assert np.mean(found <= log_threshold(found)) >= 0.95
