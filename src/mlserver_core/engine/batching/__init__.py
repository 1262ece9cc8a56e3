"""Adaptive batching: requests that agree are asked of a model together."""
