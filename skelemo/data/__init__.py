"""From a cache to batches on the device."""
