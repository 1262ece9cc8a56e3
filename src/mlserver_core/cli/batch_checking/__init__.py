"""The parts of ``mlserver check-batching``: rows, their answers, and what differs."""
