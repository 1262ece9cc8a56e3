"""Where a model's code runs."""
