"""A runtime that came as a package of its own."""
