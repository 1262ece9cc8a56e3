"""What keeps an environment from being used."""

from __future__ import annotations


class UnusableEnvironment(Exception):
    """An archive or a folder that no worker can run in; the text says why and what to do."""


class Abandoned(Exception):
    """Nobody waits for the environment any more."""
