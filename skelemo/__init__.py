"""skelemo: emotion from movement. OpenPose keypoints to trained, honestly evaluated models."""

__version__ = "0.1.0"

from typing import Any

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """Public names, imported when they are used."""
    if name == "load":
        from skelemo.inference.predictor import load

        return load
    raise AttributeError(f"module 'skelemo' has no attribute {name!r}")
