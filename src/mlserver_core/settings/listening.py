"""What a transport says of the address it binds."""

from __future__ import annotations

import errno

from mlserver_core.errors import StartupError
from mlserver_core.settings.server import Settings

#: Another port would help; with anything else the host is wrong.
_ABOUT_PORT = (errno.EADDRINUSE, errno.EACCES)


def shown_host(settings: Settings) -> str:
    """The host as it stands in an address: IPv6 ones in brackets."""
    return f"[{settings.host}]" if ":" in settings.host else settings.host


def cannot_listen(name: str, settings: Settings, port: str, error: OSError) -> StartupError:
    """Says which setting to change.

    Args:
        name: of the transport.
        settings: of the server.
        port: the name of the setting that has the transport's port.
        error: what binding raised.
    """
    option = port.replace("_", "-")
    address = f"{shown_host(settings)}:{getattr(settings, port)}"
    if error.errno in _ABOUT_PORT:
        help_text = (
            f"set {port} (MLSERVER_{port.upper()}, --{option}) to a free port, or to 0 for any"
        )
    else:
        help_text = "set host (MLSERVER_HOST, --host) to an address of this machine"
    reason = error.strerror or str(error)
    return StartupError(f"{name} cannot listen on {address}: {reason}; {help_text}")
