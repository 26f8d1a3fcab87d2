# SPDX-License-Identifier: Apache-2.0
"""The reports of an evaluation: of one network, alone or against another, and of many side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ssma_ros.training.evaluate.pictures import group_chart, reliability_plot
from ssma_ros.training.evaluate.render import Report
from ssma_ros.training.evaluate.score import ALL_SENSORS, MULTI_SCALE
from ssma_ros.training.evaluate.tables import (
    calibration_table,
    class_table,
    group_tables,
    improvement_table,
    missing_tables,
    network_table,
    score_table,
    trimap_table,
)
from ssma_ros.training.evaluate.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ssma_ros.training.evaluate.calibration import CalibrationFit
    from ssma_ros.training.evaluate.observers import Against
    from ssma_ros.training.evaluate.run import EvaluationRun
    from ssma_ros.training.evaluate.score import CaseResult


def evaluation_report(
    run: EvaluationRun,
    facts: Mapping[str, Any],
    *,
    fit: CalibrationFit | None = None,
    against: Against | None = None,
    pictures: Mapping[str, NDArray[np.uint8]] | None = None,
) -> Report:
    """Of the first network of a run that is at its end.

    Args:
        run: with its scores.
        facts: what was scored, for the head.
        fit: the calibration that was fitted before.
        against: the comparison with the second network.
        pictures: file name → RGB image.
    """
    network, contract = run.networks[0].network, run.networks[0].contract
    results = run.results(run.networks[0])
    head = {**facts, "network": network.name, "temperature": contract.temperature}
    if contract.vector_scaling is not None:
        head["vector_scaling"] = {key: list(values) for key, values in asdict(contract.vector_scaling).items()}
    tables = [score_table(results), *group_tables(results), class_table(results), trimap_table(results)]
    document: dict[str, Any] = {"results": [r.to_document() for r in results.values()]}
    if against is not None:
        document["improvement"] = {"over": against.names[1], **against.improvement.to_document()}
        tables.insert(1, improvement_table(against.improvement.to_document(), *against.names))
    if fit is not None:
        document["calibration"] = fit.to_document()
        tables.insert(1, calibration_table(fit))
    drawn = {**(pictures or {}), "reliability": reliability_plot(results[ALL_SENSORS.name].reliability)}
    return Report("Evaluation", {**head, **versions()}, document, tables, drawn)


def comparison_report(run: EvaluationRun, facts: Mapping[str, Any]) -> Report:
    """Of all networks of a run, which have distinct names.

    Args:
        run: with its scores.
        facts: what was scored, for the head.
    """
    found = {network.name: run.results(network) for network in run.networks}
    whole = whole_results(found)
    tables = [
        *group_tables(whole, "network"), *missing_tables(found), score_table(whole, "network"),
        class_table(whole, "network"), trimap_table(whole, "network"), network_table(run.networks),
    ]
    document = {
        "networks": {network.name: network.facts() for network in run.networks},
        "results": {name: [r.to_document() for r in results.values()] for name, results in found.items()},
    }
    by_group = {name: {g: s.scores["miou"] for g, s in r.groups.items()} for name, r in whole.items()}
    pictures = {"conditions": group_chart(by_group)} if any(by_group.values()) else {}
    head = {**facts, "samples": len(run.indices), **versions()}
    return Report("Comparison", head, document, tables, pictures)


def whole_results(found: Mapping[str, Mapping[str, CaseResult]]) -> dict[str, CaseResult]:
    """Of all sensors, by name of the network; those with flips and scales as ``NAME, msf``."""
    whole = {}
    for name, results in found.items():
        whole[name] = results[ALL_SENSORS.name]
        if MULTI_SCALE.name in results:
            whole[f"{name}, msf"] = results[MULTI_SCALE.name]
    return whole
