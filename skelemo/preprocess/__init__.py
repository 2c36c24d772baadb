"""From raw keypoints to what a model sees."""
