"""Using what a run has learned."""
