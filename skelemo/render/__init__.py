"""Skeleton images in torch, on the device, in batches: OpenPose's own drawing, downscaled."""

from skelemo.render.renderer import SkeletonRenderer
from skelemo.render.views import VIEWS

__all__ = ["VIEWS", "SkeletonRenderer"]
