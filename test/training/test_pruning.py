# SPDX-License-Identifier: Apache-2.0
"""Pruning: the ranking is the first-order change of the loss, the selection hits its cost, a pruning goes on where it
was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

from ssma_ros.cli.main import main
from ssma_ros.errors import SsmaError
from ssma_ros.models import AdapNetPP, build_network, count_macs, count_parameters, load_model, save_model
from ssma_ros.models.pruning.channels import find_channels
from ssma_ros.models.pruning.shrink import shrunk
from ssma_ros.training.fit.config_table import options_table
from ssma_ros.training.pruning.config import PruneConfig, PruneStage, load_prune_config
from ssma_ros.training.pruning.rank import l1_scores, normalise, taylor_scores
from ssma_ros.training.pruning.report import RESULT
from ssma_ros.training.pruning.select import select

if TYPE_CHECKING:
    from ssma_ros.contract import Contract

CONFIGS = Path(__file__).parents[2] / "config" / "pruning"


@pytest.fixture(scope="module")
def network(contract: Contract) -> Any:
    torch.manual_seed(3)
    made = build_network(contract.network, 5).eval()
    for name, tensor in made.named_buffers():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
    return made


def test_taylor_score_is_the_first_order_change_of_the_loss(network: Any) -> None:
    """Against a factor of 1 on the activation itself, whose gradient is Σ gradient · activation."""
    channels = find_channels(network)
    images = [torch.randn(1, 3, 32, 64) for _ in network.modalities]
    target = torch.randint(0, 5, (1, 32, 64))

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(network(*images), target)

    scores = taylor_scores(network, channels, [loss, loss])
    places = {}
    for kind, wanted in (("free", lambda one: not one.end and len(one.ids) == 1),
                         ("end", lambda one: bool(one.end)), ("tied", lambda one: len(one.ids) > 1)):
        places[kind] = [i for i, one in enumerate(channels.maps) if wanted(one)]
        for i in places[kind][:: max(len(places[kind]) // 3, 1)]:
            effect = abs(_effect(network, channels, channels.maps[i], loss))
            assert scores[i] == pytest.approx(effect, rel=2e-3, abs=1e-7)
    assert all(places.values())
    assert scores.max() > 1e-4
    assert all(parameter.grad is None for parameter in network.parameters())


def _effect(network: Any, channels: Any, one: Any, loss: Any) -> float:
    """Derivative of the loss by a factor on the map wherever it is read, or behind its end."""
    factor = torch.ones((), requires_grad=True)
    modules, hooks = dict(network.named_modules()), []

    def scaled(x: torch.Tensor, ids: Any) -> torch.Tensor:
        weights = torch.ones(x.shape[1])
        chosen = torch.from_numpy(np.isin(ids, one.ids))
        return x * torch.where(chosen, factor, weights)[:, None, None]

    for path, layer in channels.layers.items():
        if path == one.end:
            hooks.append(modules[path].register_forward_hook(lambda m, a, y, ids=layer.made: scaled(y, ids)))
        elif not one.end and layer.read.size and not layer.depthwise and np.isin(layer.read, one.ids).any():
            hooks.append(modules[path].register_forward_pre_hook(lambda m, a, ids=layer.read: (scaled(a[0], ids),)))
    loss().backward()
    for hook in hooks:
        hook.remove()
    network.zero_grad(set_to_none=True)
    assert hooks
    assert factor.grad is not None
    return float(factor.grad)


def test_l1_score_is_the_filters_magnitude_and_layers_compare(network: Any) -> None:
    channels = find_channels(network)
    scores = l1_scores(network, channels)
    up = network.trunks[0].up1.conv
    own = [i for i, one in enumerate(channels.maps) if one.layer == "trunks.0.up1.conv"]
    assert scores[own] == pytest.approx(up.weight.detach().abs().sum(dim=(0, 2, 3)).numpy(), rel=1e-5)
    normalised = normalise(channels, scores)
    for layer in {one.layer for one in channels.maps}:
        of_layer = [normalised[i] for i, one in enumerate(channels.maps) if one.layer == layer]
        assert np.linalg.norm(of_layer) == pytest.approx(1)
    assert np.argsort(normalised[own]).tolist() == np.argsort(scores[own]).tolist()


@pytest.mark.parametrize("measure", ["macs", "parameters"])
def test_selection_takes_the_lowest_until_the_cost_is_met(network: Any, measure: str) -> None:
    channels = find_channels(network, 64, 32)
    scores = np.random.default_rng(0).random(len(channels.maps))
    cost = getattr(channels, measure)
    whole = cost(channels.alive([]))
    assert whole == (count_macs(network, 64, 32) if measure == "macs" else count_parameters(network))
    for share in (0.1, 0.5):
        dead = select(channels, scores, cost, (1 - share) * whole)
        small = shrunk(network, channels, dead)
        left = count_macs(small, 64, 32) if measure == "macs" else count_parameters(small)
        assert left == cost(channels.alive(dead))
        assert share <= 1 - left / whole < share + 0.01
        # Of each layer those of the lowest score, and in each something is left.
        for layer in {one.layer for one in channels.maps}:
            members = sorted((i for i, one in enumerate(channels.maps) if one.layer == layer), key=scores.__getitem__)
            gone = [dead.issuperset(channels.maps[i].ids) for i in members]
            assert gone == sorted(gone, reverse=True)
            assert not all(gone)


def test_selection_keeps_what_it_shall(network: Any) -> None:
    channels = find_channels(network, 64, 32)
    scores = np.random.default_rng(1).random(len(channels.maps))
    whole = channels.macs(channels.alive([]))
    dead = select(channels, scores, channels.macs, 0.6 * whole, least=6, multiple=8, shortcuts=False)
    alive = channels.alive(dead)
    assert alive[[one.ids[0] for one in channels.maps if one.end]].all()
    for layer in {one.layer for one in channels.maps}:
        made = channels.layers[layer].made
        left = int(alive[made].sum())
        assert left == len(made) or (left % 8 == 0 and left >= 6)
    everything = select(channels, scores, channels.macs, 0, least=6)
    for layer in {one.layer for one in channels.maps}:
        made = channels.layers[layer].made
        assert channels.alive(everything)[made].sum() == min(6, len(made))


def test_adapnetpp_in_five_stages_costs_what_each_asks_for() -> None:
    """Counted, at the paper's size: within a point of the multiply-accumulates asked for."""
    network = AdapNetPP(12)
    channels = find_channels(network, 768, 384)
    whole = channels.macs(channels.alive([]))
    assert whole == count_macs(network)
    scores = normalise(channels, l1_scores(network, channels))
    before: set[int] = set()
    for stage in load_prune_config(CONFIGS / "paper.yaml").stages:
        dead = select(channels, scores, channels.macs, (1 - stage.reduce) * whole, least=4)
        assert 1 - channels.macs(channels.alive(dead)) / whole == pytest.approx(stage.reduce, abs=0.01)
        assert before < dead
        before = dead


@pytest.fixture
def run_folder(network: Any, contract: Contract, forest_folder: Path, tmp_path: Path) -> Path:
    """A training run that has ended."""
    folder = tmp_path / "run"
    contract = replace(contract, network=network.describe(), temperature=1.5)
    save_model(network, contract, folder / "model")
    document = contract.to_document()
    del document["format"], document["version"]
    training = {"name": "tiny", "contract": document, "data": {"root": str(forest_folder)}, "threads": 1,
                "stages": [{"steps": 1}], "tensorboard": False}
    (folder / "config.yaml").write_text(yaml.safe_dump(training))
    return folder


def _stages(path: Path, *shares: float, **more: Any) -> Path:
    fit = [{"steps": 2, "batch_size": 2}]
    document = {"samples": 2, "seconds": 0, "stages": [{"reduce": share, "fit": fit} for share in shares], **more}
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.slow
def test_a_pruning_ends_smaller_and_goes_on_where_it_was_stopped(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, output = _stages(tmp_path / "stages.yaml", 0.2, 0.4), tmp_path / "pruned"
    command = ["prune", str(run_folder), "-o", str(output), "--stages", str(config), "--quiet"]
    assert main(command) == 0
    table = capsys.readouterr().out
    assert "| stage 2 |" in table
    rows = json.loads((output / RESULT).read_text())["rows"]
    assert [row["stage"] for row in rows] == ["before", "stage 1", "stage 2"]
    for row, share in zip(rows, (0, 0.2, 0.4), strict=True):
        assert 1 - row["macs"] / rows[0]["macs"] == pytest.approx(share, abs=0.01)
    small = load_model(output / "model")
    assert count_macs(small, 64, 32) == rows[2]["macs"]
    assert small.contract is not None
    assert small.contract.temperature == 1  # the calibration was that of the whole network
    start = load_model(output / "stage2" / "pruned")
    assert any(not torch.equal(a, b) for a, b in zip(small.parameters(), start.parameters(), strict=True))

    # Stopped behind the first stage: what is done stays, the rest comes out the same.
    before = (output / "model" / "weights.safetensors").read_bytes()
    document = json.loads((output / RESULT).read_text())
    (output / RESULT).write_text(json.dumps({**document, "rows": rows[:2]}))
    (output / "stage2" / "checkpoint.pt").unlink()
    assert main(command) == 0
    assert (output / "model" / "weights.safetensors").read_bytes() == before
    assert json.loads((output / RESULT).read_text()) == document

    assert main([*command[:-3], "--stages", str(_stages(tmp_path / "other.yaml", 0.3)), "--quiet"]) == 1
    assert "belongs to another model or configuration" in capsys.readouterr().err


def test_what_cannot_be_pruned_is_told(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(config: Path, model: Path = run_folder) -> str:
        assert main(["prune", str(model), "-o", str(tmp_path / "out"), "--stages", str(config), "--quiet"]) == 1
        return capsys.readouterr().err

    assert "at most" in fails(_stages(tmp_path / "a.yaml", 0.95, least=1000, criterion="l1"))
    assert "rising numbers" in fails(_stages(tmp_path / "b.yaml", 0.3, 0.2))
    assert "criterion" in fails(_stages(tmp_path / "c.yaml", 0.3, criterion="l2"))
    alone = tmp_path / "alone"
    network = load_model(run_folder / "model")
    assert network.contract is not None
    save_model(network, network.contract, alone)
    assert "has no config.yaml" in fails(_stages(tmp_path / "d.yaml", 0.3), alone)


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.yaml")))
def test_configurations_are_read(name: str) -> None:
    config = load_prune_config(CONFIGS / name)
    assert len(config.stages) == 5
    assert all(stage.fit for stage in config.stages)


def test_page_is_written_from_the_dataclasses() -> None:
    page = (CONFIGS.parents[1] / "docs" / "pruning.md").read_text(encoding="utf-8")
    for kind in (PruneConfig, PruneStage):
        assert options_table(kind) in page


def test_missing_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="pruning configuration"):
        load_prune_config(tmp_path / "none.yaml")
