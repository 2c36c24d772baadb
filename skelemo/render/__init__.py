"""Keypoints become skeleton images in torch, on the device, in the batch: OpenPose's own drawing, made small."""

from skelemo.render.renderer import SkeletonRenderer
from skelemo.render.views import VIEWS

__all__ = ["VIEWS", "SkeletonRenderer"]
