"""Reads label files of any registered format (`read_annotations`) and matches them with recordings (`match`)."""

from skelemo.annotations.matching import Matching, match
from skelemo.annotations.registry import Annotation, Annotations, read_annotations

__all__ = ["Annotation", "Annotations", "Matching", "match", "read_annotations"]
