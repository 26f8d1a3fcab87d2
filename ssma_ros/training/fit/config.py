# SPDX-License-Identifier: Apache-2.0
"""One YAML file describes a training run; this module reads it into typed, checked dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ssma_ros.contract import parse_contract
from ssma_ros.documents import load_yaml, read, short
from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.labels.label_set import label_path, load_label_set
from ssma_ros.options import option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.contract import Contract

#: Arithmetic of the forward pass.
Precision = Literal["fp32", "bf16", "fp16"]
Pair = tuple[float, float]


@dataclass(frozen=True)
class MoreData:
    """A further data set whose samples join the training split."""

    root: str = option(text="Folder of the data set.")
    kind: str = option("folder", "Layout, as of `data`.")
    split: str = option("train", "Name of the split to take.")
    options: dict[str, Any] = option(default_factory=dict, text="Further arguments of the data set.")


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from."""

    kind: str = option("folder", "Layout: key of `ssma_ros.training.datasets.DATASETS`.")
    root: str = option("", "Folder of the data set; relative paths count from the working directory.")
    train: str = option("train", "Name of the training split.")
    val: str = option("val", "Name of the validation split.")
    cache: str = option("", "Folder for encoded inputs (a few GB); empty: they are encoded on the fly.")
    options: dict[str, Any] = option(default_factory=dict, text="Further arguments of the data set.")
    more: tuple[MoreData, ...] = option((), "Further data sets to train on.")
    samples: int = option(
        0, "Train on this many samples of the training split, drawn by the run's seed, of which fewer are among more; "
        "0 = all.", low=0,
    )
    held_out: int = option(
        0, "Hold this many samples of the training split out and validate on them instead of `val`: always the same "
        "ones, so that choices need no look at the test images.", low=0,
    )


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of a training sample; geometry is shared by all streams and the label."""

    flip: float = option(0.5, "Probability of mirroring left and right.", low=0, high=1)
    rotation: float = option(13.0, "Largest angle in degrees, either way.", low=0, high=180)
    skew: float = option(0.05, "Largest shear, either way.", low=0)
    scale: Pair = option((0.5, 2.0), "Smallest and largest zoom relative to the stage's size.", above=0)
    crop: Pair = option(
        (0.8, 0.9), "Smallest and largest share of the image that a zoom of 1 shows (the paper's 0.8 to 0.9; 1 = all).",
        above=0, high=1,
    )
    brightness: float = option(40.0, "Largest shift of colour levels, either way.", low=0, high=255)
    contrast: Pair = option((0.5, 1.5), "Smallest and largest gain of colour about its mean.", low=0)
    saturation: Pair = option((1.0, 1.0), "The same for colourfulness.", low=0)
    hue: float = option(0.0, "Largest turn of the hue in degrees.", low=0, high=180)
    gain: float = option(0.0, "Largest relative change of each colour channel by itself (white balance).", low=0)
    gamma: Pair = option((1.0, 1.0), "Smallest and largest exponent.", above=0)
    noise: float = option(0.0, "Largest standard deviation of Gaussian noise, levels.", low=0)
    blur: float = option(0.0, "Probability of a small Gaussian blur of colour.", low=0, high=1)
    vignette: float = option(0.5, "Probability of darkened corners.", low=0, high=1)
    other_brightness: float = option(0.0, "Largest shift of near-infrared and index streams, levels.", low=0, high=255)
    other_contrast: Pair = option((1.0, 1.0), "Smallest and largest gain of the same about mid-grey.", low=0)
    height_shift: float = option(
        0.0, "Largest shift of HHA's height channel, levels (an uncertain floor).", low=0, high=255
    )
    holes: float = option(
        0.0, "Probability of blanking random patches of depth streams, as failed stereo does.", low=0, high=1
    )
    modality_dropout: float = option(
        0.0, "Probability with which each sensor is missing from a sample; one stream always stays.", low=0, high=1
    )


@dataclass(frozen=True)
class StageConfig:
    """A stretch of training with one setting."""

    name: str = option("fusion", "For progress bars and curves.")
    steps: int = option(1000, "Optimiser steps.", low=1)
    batch_size: int = option(8, "Samples in one step, over all processes together.", low=1)
    width: int = option(0, "Width of the images in this stage, a multiple of 16; 0 = the contract's.", low=0)
    height: int = option(0, "Height of the images in this stage, a multiple of 16; 0 = the contract's.", low=0)
    lr: float = option(1e-3, "Peak learning rate.", low=0)
    encoder_lr: float | None = option(
        None, "Learning rate of the encoders; null = `lr`, 0 = frozen (their BN statistics too).", low=0
    )
    schedule: Literal["poly", "onecycle", "constant"] = option("poly", "How the learning rate goes.")
    power: float = option(
        0.9, "Exponent of `poly` and of the end of `onecycle`: the rate is lr·max((1−t)^power, end_lr_ratio).", low=0
    )
    end_lr_ratio: float = option(0.1, "See `power`.", low=0, high=1)
    warmup: float = option(0.1, "Share of the steps in which `onecycle` rises.", low=0, high=1)
    beta1: float = option(0.9, "Decay of Adam's mean of the gradient.", low=0, high=1)
    beta2: float = option(0.999, "Decay of Adam's mean of the squared gradient.", low=0, high=1)
    epsilon: float = option(1e-10, "Adam's term against division by zero.", low=0)
    weight_decay: float = option(0.0, "Adam's weight decay, decoupled.", low=0)
    augment: bool = option(True, "false = only the mirror.")
    class_weight_power: float = option(
        1.0, "Exponent on the run's class weights: 1 = as they are, 0 = none. Weights help rare classes to be found at "
        "all; less of them at the end gives up fewer pixels of the others.", low=0,
    )
    precision: Literal["", "fp32", "bf16", "fp16"] = option("", "Arithmetic of this stage; empty: the run's.")


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    name: str = option(text="Name of the run; its folder is `runs/NAME` unless the command says otherwise.")
    contract: dict[str, Any] = option(
        text="The input contract as in contract.json (docs/contract.md); `network` may name a preset, `labels` a "
        "shipped label set or a .json file, whose relative path counts from the configuration's folder."
    )
    data: DataConfig = option(text="Where samples come from.")
    stages: tuple[StageConfig, ...] = option(text="Stretches of training, one after the other.")
    augmentation: AugmentationConfig = option(AugmentationConfig(), "Random changes of training samples.")
    seed: int = option(1, "Seed of everything random.", low=0)
    precision: Precision = option(
        "fp32", "Arithmetic: bf16 by autocast; fp16 by autocast with loss scaling, CUDA only."
    )
    device: Literal["auto", "cpu", "cuda"] = option("auto", "What trains; auto: the GPU where there is one.")
    threads: int = option(0, "CPU threads; 0 = PyTorch's choice.", low=0)
    auxiliary_weights: Pair = option((0.6, 0.5), "Weights of the two auxiliary losses (1/4 and 1/8 head).", low=0)
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = option(
        "none", "`none`, `balanced` (1/log(1.02 + share)), or one number a class."
    )
    clip_norm: float = option(0.0, "Gradients are scaled to at most this norm; 0 = never.", low=0)
    ema: float = option(0.0, "Decay of the exponential moving average of the weights; 0 = none.", low=0, high=1)
    bn_momentum: float | None = option(
        None, "Momentum of BatchNorm's running statistics (PyTorch's convention); null = the network's own.",
        low=0, high=1,
    )
    pretrained: str = option(
        "", "ImageNet weights that the encoders start from: `imagenet` (of an installed package, else timm's hub), or "
        "a .safetensors file; empty: none. A colour stream then has the mean and scale of these weights, or leaves "
        "both out.",
    )
    encoders: dict[str, str] = option(
        default_factory=dict, text="Stream name to weights of a trained unimodal model that initialises this encoder, "
        "or `PATH#STREAM` for one encoder of a fusion model (also of other data).",
    )
    decoder_of: str = option(
        "", "A stream in `encoders` whose unimodal model gives the decoder too: SSMA starts as that model and learns "
        "what the other streams add.",
    )
    initialize: str = option("", "Weights of a whole model of the same network to start from; empty: none.")
    checkpoint_every: int = option(100, "Steps between two checkpoints.", low=1)
    validate_every: int = option(500, "Steps between two validations.", low=1)
    validation_limit: int = option(0, "At most this many validation samples while training; 0 = all.", low=0)
    patience: int = option(0, "Stop when this many validations in a row bring no better mIoU; 0 = never.", low=0)
    tensorboard: bool = option(True, "Write curves and sample pictures.")

    @property
    def precisions(self) -> tuple[str, ...]:
        """Of each stage."""
        return tuple(stage.precision or self.precision for stage in self.stages)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    def to_document(self) -> dict[str, Any]:
        """JSON- and YAML-ready, every value explicit."""
        return _plain(asdict(self))

    def build_contract(self, where: str = "of the training configuration") -> Contract:
        """The contract with the network's description as given.

        Raises:
            SsmaError: it states something impossible.
        """
        document = {"format": "ssma-input-contract", "version": 1, **self.contract}
        return parse_contract(document, where)


def load_config(path: str | Path) -> TrainConfig:
    """Read a training configuration.

    A file with the key ``base`` starts from that file (relative to itself): its own sections are laid over the base's
    key by key, its lists and values replace them, and a null takes the base's key away.

    Raises:
        SsmaError: the file or a base is missing, is not YAML, or a key is unknown, missing or of the wrong kind.
    """
    return parse_config(_read_document(Path(path), ()), str(path))


def _read_document(path: Path, above: tuple[Path, ...]) -> Any:
    """YAML data of a file with its bases beneath; ``above`` are the files that led here."""
    if path.resolve() in above:
        raise SsmaError(f"training configuration {path}: is its own base")
    whose = f"a .yaml file, the base of {above[-1]}" if above else "a .yaml file"
    document = load_yaml(path, "training configuration", whose)
    document = labels_beside(document, path.parent)
    if not isinstance(document, dict) or "base" not in document:
        return document
    base = document.pop("base")
    if not isinstance(base, str):
        raise SsmaError(f"training configuration {path}: base is {short(base)}, expected the path of a .yaml file")
    return _overlay(_read_document(path.parent / base, (*above, path.resolve())), document)


def labels_beside(document: Any, folder: Path) -> Any:
    """Data of a configuration in which a label set's relative path counts from the configuration's folder."""
    contract = document.get("contract") if isinstance(document, dict) else None
    labels = contract.get("labels") if isinstance(contract, dict) else None
    if not isinstance(labels, str) or not isinstance(contract, dict):
        return document
    return {**document, "contract": {**contract, "labels": str(label_path(labels, folder))}}


def _overlay(base: Any, own: Any) -> Any:
    """``own`` laid over ``base``: mappings key by key, everything else replaced; None takes a key away."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    merged = {**base, **{key: _overlay(base.get(key), value) for key, value in own.items()}}
    return {key: value for key, value in merged.items() if own.get(key, value) is not None}


def parse_config(document: Any, where: str) -> TrainConfig:
    """Build a configuration from YAML data; ``where`` names the source in messages.

    Raises:
        SsmaError: as :func:`load_config`.
    """
    config = read(TrainConfig, document, f"training configuration {where}")
    labels = config.contract.get("labels")
    if isinstance(labels, str) and labels.endswith(".json"):
        # Written out: the run then tells of a changed set, and can be read without the file.
        config = replace(config, contract={**config.contract, "labels": asdict(load_label_set(labels))})
    if not config.stages:
        raise SsmaError(f"training configuration {where}: no stages, expected at least one")
    _check_encoders(config, where)
    if config.data.held_out and config.data.train == config.data.val:
        raise SsmaError(f"training configuration {where}: data.val is '{config.data.val}', the training split, with "
                        f"held_out: {config.data.held_out}; expected another name")
    if config.pretrained and config.initialize:
        raise SsmaError(f"training configuration {where}: got pretrained and initialize, which gives all weights; "
                        "expected one of them")
    for index, stage in enumerate(config.stages):
        if stage.width % 16 or stage.height % 16:
            raise SsmaError(f"training configuration {where}: stages[{index}] is {stage.width}x{stage.height}, "
                            "expected multiples of 16")
    return config


def _check_encoders(config: TrainConfig, where: str) -> None:
    """Names of streams, where the contract's streams are told; what else is wrong with those the contract says."""
    streams = config.contract.get("streams")
    if isinstance(streams, list) and all(isinstance(stream, dict) for stream in streams):
        names = [str(stream.get("name")) for stream in streams]
        for name in config.encoders:
            if name not in names:
                raise SsmaError(f"training configuration {where}: encoders names stream '{name}', "
                                f"{expected_one_of(name, names)}")
    if config.decoder_of and config.decoder_of not in config.encoders:
        raise SsmaError(f"training configuration {where}: decoder_of is '{config.decoder_of}', expected a stream that "
                        f"encoders gives the weights of ({', '.join(config.encoders) or 'it names none'})")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value


def dump_config(config: TrainConfig, extra: Mapping[str, Any]) -> str:
    """The configuration as YAML with ``extra`` facts (versions, data digest) as a commented head."""
    import yaml

    head = "".join(f"# {key}: {value}\n" for key, value in extra.items())
    return head + yaml.safe_dump(config.to_document(), sort_keys=False)
