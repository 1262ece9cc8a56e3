"""The command ``mlserver``."""
