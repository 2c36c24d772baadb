"""Reading what OpenPose wrote."""
