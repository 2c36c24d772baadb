"""Label files, read into one form: ``read_annotations`` finds the reader by name, ``match`` the recordings."""

from skelemo.annotations.matching import Matching, match
from skelemo.annotations.registry import Annotation, Annotations, read_annotations

__all__ = ["Annotation", "Annotations", "Matching", "match", "read_annotations"]
