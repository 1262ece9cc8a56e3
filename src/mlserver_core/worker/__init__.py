"""The process in which models live apart from their server; ``python -m mlserver_core.worker``."""
