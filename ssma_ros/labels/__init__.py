# SPDX-License-Identifier: Apache-2.0
"""Label sets: class ids, names, palette, traversability, as data files with one loader."""

from ssma_ros.labels.label_set import UNLABELLED, LabelClass, LabelSet, available_label_sets, load_label_set
from ssma_ros.labels.raw_ids import apply_raw_ids, raw_ids_of, stored_ids

__all__ = ["UNLABELLED", "LabelClass", "LabelSet", "apply_raw_ids", "available_label_sets", "load_label_set",
           "raw_ids_of", "stored_ids"]
