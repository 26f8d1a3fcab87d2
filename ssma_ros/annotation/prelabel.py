# SPDX-License-Identifier: Apache-2.0
"""A network's masks as a start for people: only what it is sure of, beside the labels and never among them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.annotation.painting import IGNORE, Names
from ssma_ros.annotation.samples import PRELABEL, write_mask
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json
from ssma_ros.folders import WholeFolder
from ssma_ros.labels import UNLABELLED
from ssma_ros.training.datasets.folder import PictureFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ssma_ros.labels import LabelSet
    from ssma_ros.segmenter import Segmenter

#: In the folder of pre-labels: what made them.
FACTS_NAME = "prelabel.json"


@dataclass
class Prelabelled:
    """What a network painted.

    Attributes:
        samples: number of pictures.
        pixels: number of pixels by class id of the data set, the ignore id among them.
        blank: number of pictures in which a stream of the network had no image, by stream.
    """

    samples: int = 0
    pixels: Counter[int] = field(default_factory=Counter)
    blank: Counter[str] = field(default_factory=Counter)

    def share(self, class_id: int) -> float:
        """Of all pixels."""
        return self.pixels[class_id] / max(1, self.pixels.total())


def class_table(network: LabelSet, names: Names) -> NDArray[np.uint8]:
    """What each mask value of a network is in a data set.

    Args:
        network: its classes.
        names: the data set's label set, and what other names mean in it.

    Returns:
        256 class ids; classes that the data set does not have, and 255, are its ignore id.

    Raises:
        SsmaError: the two have no class in common.
    """
    known = (*names.labels.names, *names.renamed)
    table = np.full(256, names.labels.ignore_id, np.uint8)
    for c in network.classes:
        if c.name in known:
            table[c.id] = names.id_of(c.name, "network")
    if (table == names.labels.ignore_id).all():
        raise SsmaError(f"network: has the classes {', '.join(network.names)}, expected some of "
                        f"{', '.join(names.labels.names)}; --map NAME=CLASS says what a class is, {IGNORE} nothing")
    return table


def prelabel(
    root: Path, split: str, names: Names, segment: Segmenter, *, options: Mapping[str, Any] | None = None,
    on_sample: Callable[[], object] | None = None,
) -> Prelabelled:
    """Fill ``ROOT/SPLIT/prelabel`` with a network's masks, whole or not at all; earlier ones are replaced.

    Args:
        root: of the data set.
        split: of it.
        names: its label set, and what the network's other names mean in it.
        segment: the network; its ``min_confidence`` says what stays unlabelled, and it delivers at the camera's size.
        options: how the pictures are read, see :class:`~ssma_ros.training.datasets.folder.FolderDataset`.
        on_sample: called for each picture.

    Raises:
        SsmaError: the pictures cannot be read, no class fits, or the disk refuses.
    """
    table = class_table(segment.labels, names)
    pictures = PictureFolder(root, split, names.labels, **(options or {}))
    done = Prelabelled()
    with WholeFolder(root / split / PRELABEL, what="set of pre-labels", replace_if=FACTS_NAME) as folder:
        for index in range(len(pictures)):
            segment.reset()  # samples are far apart; nothing carries over
            result = segment(pictures.frame(index))
            mask = table[result.mask]
            write_mask(folder / f"{pictures.name(index)}.png", mask, names.labels)
            done.samples += 1
            done.pixels.update({i: int(n) for i, n in enumerate(np.bincount(mask.ravel())) if n})
            done.blank.update(stream for stream, there in result.present.items() if not there)
            if on_sample is not None:
                on_sample()
        write_json(folder / FACTS_NAME, {
            "network": dict(segment.backend.identity), "contract": segment.contract.digest(),
            "min_confidence": segment.options.min_confidence, "classes": _told(table, segment.labels, names.labels),
        })  # fmt: skip
    return done


def _told(table: NDArray[np.uint8], network: LabelSet, labels: LabelSet) -> dict[str, str]:
    """By class of the network that of the data set."""
    titles = [*labels.names, *[IGNORE] * (UNLABELLED + 1 - labels.num_classes)]
    return {c.name: titles[table[c.id]] for c in network.classes}
