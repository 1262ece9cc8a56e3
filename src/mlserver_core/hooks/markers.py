"""The two decorators of the plugin interface."""

from __future__ import annotations

import pluggy

#: Names the project to pluggy, and is the entry-point group that plugins are found in.
GROUP = "mlserver_core"

hookspec = pluggy.HookspecMarker(GROUP)

#: Marks a function of a plugin module as the implementation of the hook of the same name.
hookimpl = pluggy.HookimplMarker(GROUP)
