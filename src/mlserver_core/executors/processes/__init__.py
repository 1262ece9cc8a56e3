"""Models in worker processes, and what travels between a worker and its server."""
