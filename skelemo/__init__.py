"""skelemo: emotion from movement. OpenPose keypoints to trained, honestly evaluated models."""

__version__ = "0.1.0"
