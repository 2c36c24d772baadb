"""Live prediction: streams of frames, causal and in bounded memory."""
