"""One YAML file describes a training run; this module reads it into typed, checked dataclasses."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import yaml

from ssma_ros.contract import parse_contract
from ssma_ros.errors import SsmaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssma_ros.contract import Contract

PRECISIONS = ("fp32", "bf16", "fp16")
SCHEDULES = ("poly", "onecycle", "constant")


@dataclass(frozen=True)
class MoreData:
    """A further data set whose samples join the training split.

    Attributes:
        kind, root, options: as of :class:`DataConfig`.
        split: name of the split to take.
    """

    root: str
    kind: str = "folder"
    split: str = "train"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from.

    Attributes:
        kind: key of :data:`ssma_ros.training.datasets.DATASETS`.
        root: folder of the data set; relative paths count from the working directory.
        train, val: split names.
        cache: folder for encoded inputs (a few GB), or "" to encode on the fly.
        options: further arguments of the data set.
        more: further data sets to train on.
    """

    kind: str = "folder"
    root: str = ""
    train: str = "train"
    val: str = "val"
    cache: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    more: tuple[MoreData, ...] = ()


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of a training sample; geometry is shared by all streams and the label.

    Attributes:
        flip: probability of mirroring left and right.
        rotation: largest angle in degrees, either way.
        skew: largest shear, either way.
        scale: smallest and largest zoom relative to the stage's size.
        crop: smallest and largest share of the image that a zoom of 1 shows (the paper's 0.8–0.9; 1 = all).
        brightness: largest shift of colour levels, either way.
        contrast: smallest and largest gain of colour about its mean.
        saturation: the same for colourfulness.
        hue: largest turn of the hue in degrees.
        gain: largest relative change of each colour channel by itself (white balance).
        gamma: smallest and largest exponent.
        noise: largest standard deviation of Gaussian noise, levels.
        blur: probability of a small Gaussian blur of colour.
        vignette: probability of darkened corners.
        other_brightness: largest shift of near-infrared and index streams, levels.
        other_contrast: smallest and largest gain of the same about mid-grey.
        height_shift: largest shift of HHA's height channel, levels (an uncertain floor).
        holes: probability of blanking random patches of depth streams, as failed stereo does.
        modality_dropout: probability with which each sensor is missing from a sample; one stream always stays.
    """

    flip: float = 0.5
    rotation: float = 13.0
    skew: float = 0.05
    scale: tuple[float, float] = (0.5, 2.0)
    crop: tuple[float, float] = (0.8, 0.9)
    brightness: float = 40.0
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (1.0, 1.0)
    hue: float = 0.0
    gain: float = 0.0
    gamma: tuple[float, float] = (1.0, 1.0)
    noise: float = 0.0
    blur: float = 0.0
    vignette: float = 0.5
    other_brightness: float = 0.0
    other_contrast: tuple[float, float] = (1.0, 1.0)
    height_shift: float = 0.0
    holes: float = 0.0
    modality_dropout: float = 0.0


@dataclass(frozen=True)
class StageConfig:
    """A stretch of training with one setting.

    Attributes:
        name: for progress bars and curves.
        steps: optimiser steps.
        batch_size: samples in one step, over all processes together.
        width, height: of the images in this stage, multiples of 16; 0 = the contract's.
        lr: peak learning rate.
        encoder_lr: of the encoders; None = ``lr``, 0 = frozen (their BN statistics too).
        schedule: ``poly``, ``onecycle`` or ``constant``.
        power, end_lr_ratio: of ``poly`` and of the end of ``onecycle``: lr·max((1−t)^power, end_lr_ratio).
        warmup: share of the steps in which ``onecycle`` rises.
        beta1, beta2, epsilon, weight_decay: of Adam (decoupled weight decay).
        augment: False = only the mirror.
        class_weight_power: exponent on the run's class weights: 1 = as they are, 0 = none. Weights help rare classes
            to be found at all; less of them at the end gives up fewer pixels of the others.
        precision: instead of the run's, "" = the run's.
    """

    name: str = "fusion"
    steps: int = 1000
    batch_size: int = 8
    width: int = 0
    height: int = 0
    lr: float = 1e-3
    encoder_lr: float | None = None
    schedule: str = "poly"
    power: float = 0.9
    end_lr_ratio: float = 0.1
    warmup: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-10
    weight_decay: float = 0.0
    augment: bool = True
    class_weight_power: float = 1.0
    precision: str = ""


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    Attributes:
        name: of the result.
        contract: the input contract as in contract.json (``network`` may name a preset); its ``labels`` may be a
            shipped set's name.
        data, augmentation, stages: see there.
        seed: of everything random.
        precision: ``fp32``, ``bf16`` (autocast) or ``fp16`` (autocast with loss scaling, CUDA only).
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads, 0 = PyTorch's choice.
        auxiliary_weights: of the two auxiliary losses (1/4 and 1/8 head).
        class_weights: ``none``, ``balanced`` (1/log(1.02 + share)), or one number a class.
        clip_norm: gradients are scaled to at most this norm, 0 = never.
        ema: decay of the exponential moving average of the weights, 0 = none.
        bn_momentum: of BatchNorm's running statistics (PyTorch's convention); None = the network's own.
        encoders: stream name → weights of a trained unimodal model that initialises this encoder, or ``PATH#STREAM``
            for one encoder of a fusion model (also of other data).
        decoder_of: a stream in ``encoders`` whose unimodal model gives the decoder too: SSMA starts as that model and
            learns what the other streams add, see :mod:`ssma_ros.training.fit.warm_start`.
        initialize: weights of a whole model of the same network to start from, or "".
        checkpoint_every, validate_every: steps.
        validation_limit: at most this many validation samples while training, 0 = all.
        patience: stop when this many validations in a row bring no better mIoU, 0 = never.
        tensorboard: write curves and sample pictures.
    """

    name: str
    contract: dict[str, Any]
    data: DataConfig
    stages: tuple[StageConfig, ...]
    augmentation: AugmentationConfig = AugmentationConfig()
    seed: int = 1
    precision: str = "fp32"
    device: str = "auto"
    threads: int = 0
    auxiliary_weights: tuple[float, float] = (0.6, 0.5)
    class_weights: str | tuple[float, ...] = "none"
    clip_norm: float = 0.0
    ema: float = 0.0
    bn_momentum: float | None = None
    encoders: dict[str, str] = field(default_factory=dict)
    decoder_of: str = ""
    initialize: str = ""
    checkpoint_every: int = 100
    validate_every: int = 500
    validation_limit: int = 0
    patience: int = 0
    tensorboard: bool = True

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


#: Keys that hold a list of sections, and what each section is.
_SECTION_LISTS: Mapping[str, type[Any]] = {"stages": StageConfig, "data.more": MoreData}


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
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        whose = f", the base of {above[-1]}" if above else ""
        raise SsmaError(f"training configuration {path}{whose}: no such file, expected a .yaml file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SsmaError(f"training configuration {path}: cannot be read as YAML ({error})") from None
    if not isinstance(document, dict) or "base" not in document:
        return document
    base = document.pop("base")
    if not isinstance(base, str):
        raise SsmaError(f"training configuration {path}: base is {base!r}, expected the path of a .yaml file")
    return _overlay(_read_document(path.parent / base, (*above, path.resolve())), document)


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
    config: TrainConfig = _build(TrainConfig, document, where, "")
    if not config.stages:
        raise SsmaError(f"training configuration {where}: no stages, expected at least one")
    _choice(config.precision, PRECISIONS, where, "precision")
    for index, stage in enumerate(config.stages):
        key = f"stages[{index}]"
        _choice(stage.schedule, SCHEDULES, where, f"{key}.schedule")
        _choice(stage.precision or config.precision, PRECISIONS, where, f"{key}.precision")
        if stage.steps <= 0 or stage.batch_size <= 0:
            raise SsmaError(f"training configuration {where}: {key} has steps {stage.steps} and batch_size "
                            f"{stage.batch_size}, expected positive numbers")
        if stage.width % 16 or stage.height % 16:
            raise SsmaError(f"training configuration {where}: {key} is {stage.width}x{stage.height}, "
                            "expected multiples of 16")
    return config


def _build(kind: type[Any], document: Any, where: str, prefix: str) -> Any:
    if not isinstance(document, dict):
        raise SsmaError(f"training configuration {where}: {prefix or 'the file'} is "
                        f"{type(document).__name__}, expected a mapping")
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}
    for key in document:
        if key not in known:
            raise SsmaError(f"training configuration {where}: unknown key '{prefix}{key}', "
                            f"expected one of {', '.join(known)}")
    values = {}
    for name, spec in known.items():
        if name in document:
            values[name] = _convert(hints[name], document[name], where, prefix + name)
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise SsmaError(f"training configuration {where}: key '{prefix}{name}' is missing")
    return kind(**values)


def _convert(hint: Any, value: Any, where: str, key: str) -> Any:
    """``value`` as the annotation says: a nested section, a tuple, a number that YAML read as text or int."""
    if is_dataclass(hint):
        return _build(hint, value, where, f"{key}.")  # type: ignore[arg-type]
    kind = _SECTION_LISTS.get(key)
    if kind is not None:
        if not isinstance(value, list):
            raise SsmaError(f"training configuration {where}: {key} is {type(value).__name__}, expected a list")
        return tuple(_build(kind, v, where, f"{key}[{i}].") for i, v in enumerate(value))
    try:
        return _scalar(hint, value)
    except (TypeError, ValueError):
        raise SsmaError(f"training configuration {where}: {key} is {value!r}, expected {_words(hint)}") from None


def _scalar(hint: Any, value: Any) -> Any:
    text = str(hint)
    if hint is bool:
        if not isinstance(value, bool):
            raise TypeError
        return value
    if hint is int:
        if isinstance(value, bool) or int(value) != float(value):
            raise TypeError
        return int(value)
    if hint is float:
        return float(value)
    if text == "float | None":
        return None if value is None else float(value)
    if hint is str:
        if not isinstance(value, str):
            raise TypeError
        return value
    if text.startswith("str |") and isinstance(value, str):
        return value
    if "tuple[float" in text:
        numbers = tuple(float(v) for v in value)
        if "tuple[float, float]" in text and len(numbers) != 2:
            raise ValueError
        return numbers
    if not isinstance(value, dict):
        raise TypeError
    return dict(value)


def _words(hint: Any) -> str:
    text = str(getattr(hint, "__name__", hint))
    return text.replace("tuple[float, float]", "two numbers").replace("tuple[float, ...]", "a list of numbers")


def _choice(value: str, allowed: tuple[str, ...], where: str, key: str) -> None:
    if value not in allowed:
        raise SsmaError(f"training configuration {where}: {key} is '{value}', expected one of {', '.join(allowed)}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value


def dump_config(config: TrainConfig, extra: Mapping[str, Any]) -> str:
    """The configuration as YAML with ``extra`` facts (versions, data digest) as a commented head."""
    head = "".join(f"# {key}: {value}\n" for key, value in extra.items())
    return head + yaml.safe_dump(config.to_document(), sort_keys=False)
