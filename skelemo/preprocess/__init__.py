"""From raw keypoints to a model's input: one path for training, predict, live and export."""

from skelemo.preprocess.cleaning import to_pixels
from skelemo.preprocess.clips import Clips
from skelemo.preprocess.prepare import Preparation, clean, prepare
from skelemo.preprocess.reference import by_part, in_image, place, seen_parts

__all__ = ["Clips", "Preparation", "by_part", "clean", "in_image", "place", "prepare", "seen_parts", "to_pixels"]
