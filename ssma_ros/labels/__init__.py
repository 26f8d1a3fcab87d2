"""Label sets: class ids, names, palette, traversability, as data files with one loader."""

from ssma_ros.labels.label_set import UNLABELLED, LabelClass, LabelSet, available_label_sets, load_label_set

__all__ = ["UNLABELLED", "LabelClass", "LabelSet", "available_label_sets", "load_label_set"]
