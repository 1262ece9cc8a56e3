"""Every hook a plugin may implement. All run at start-up or shutdown, none while serving.

A hook is a plain function that registers something or takes note of something. An
implementation may leave out arguments it does not use. ``docs/hooks.md`` has an example each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlserver_core.hooks.markers import hookspec

if TYPE_CHECKING:
    import click

    from mlserver_core.codecs.interfaces import InputCodec, RequestCodec
    from mlserver_core.executors.interfaces import ExecutorFactory
    from mlserver_core.hooks.registry import OrderedRegistry, Registry
    from mlserver_core.metrics.registry import Metrics
    from mlserver_core.middlewares.interfaces import MiddlewareFactory
    from mlserver_core.model import MLModel
    from mlserver_core.repositories.interfaces import RepositoryFactory
    from mlserver_core.server import MLServer, TransportFactory
    from mlserver_core.settings import Settings


@hookspec
def mlserver_register_runtimes(registry: Registry[str]) -> None:
    """Called at start-up, to learn which names ``implementation`` may use.

    Args:
        registry: takes a name (``sklearn``, or MLServer's class path as an alias) and the
            dotted path of an ``MLModel`` subclass, which is imported when a model uses it.

    Raises:
        PluginError: from ``registry.add`` when the name is taken.

    Example plugin: ``mlserver-core-sklearn``.
    """


@hookspec
def mlserver_register_codecs(
    input_codecs: Registry[type[InputCodec]], request_codecs: Registry[type[RequestCodec]]
) -> None:
    """Called at start-up, to learn which content types there are.

    Args:
        input_codecs: takes a content type and the codec of a single tensor.
        request_codecs: takes a content type and the codec of a whole request.

    Raises:
        PluginError: from ``add`` when the content type is taken.

    Example plugin: the built-in ``codecs``.
    """


@hookspec
def mlserver_register_executors(registry: Registry[ExecutorFactory], settings: Settings) -> None:
    """Called at start-up, to learn where models may run.

    Args:
        registry: takes the name that ``executor`` in model-settings.json uses, and a factory
            of one ``Executor`` per model.
        settings: the server's.

    Raises:
        PluginError: from ``registry.add`` when the name is taken.

    Example plugin: the built-in ``executors``.
    """


@hookspec
def mlserver_register_repositories(registry: Registry[RepositoryFactory]) -> None:
    """Called at start-up, to learn where models may be listed from.

    Args:
        registry: takes a URI scheme and a factory that gets the repository's root.

    Raises:
        PluginError: from ``registry.add`` when the scheme is taken.

    Example plugin: the built-in ``repositories``.
    """


@hookspec
def mlserver_register_transports(registry: Registry[TransportFactory]) -> None:
    """Called at start-up, to learn how requests come in.

    Args:
        registry: takes the transport's name and a factory that gets settings and engine.
            Every registered transport is started.

    Raises:
        PluginError: from ``registry.add`` when the name is taken.

    Example plugins: the built-in ``rest`` and ``grpc``.
    """


@hookspec
def mlserver_register_middlewares(
    registry: OrderedRegistry[MiddlewareFactory], settings: Settings, metrics: Metrics | None
) -> None:
    """Called at start-up, to put code around every inference.

    Args:
        registry: takes a name, a factory, and the names it stands before or after. The factory
            is called once per model load, so that what a request runs is a plain function.
        settings: the server's; a middleware that is switched off registers nothing.
        metrics: makes what a middleware counts, by ``counter`` and ``gauge``; None when the
            server counts nothing.

    Raises:
        PluginError: from ``registry.add`` when the name is taken.

    Example plugins: the built-in ``cloudevents`` and ``cache``.
    """


@hookspec
def mlserver_add_commands(commands: click.Group) -> None:
    """Called when the command line starts, to add subcommands of ``mlserver``.

    Args:
        commands: the ``mlserver`` group. Import what the command needs inside it, so that
            ``mlserver --help`` stays quick.

    Raises:
        PluginError: a subcommand of that name is there already.

    Example plugin: the built-in ``commands``.
    """


@hookspec
def mlserver_server_started(server: MLServer) -> None:
    """Called once every transport listens and every model found at start-up is loaded.

    Args:
        server: the running server.

    Raises:
        Nothing: an exception is logged with the plugin's name, and the server goes on.

    Example plugin: the built-in ``logging``.
    """


@hookspec
def mlserver_server_stopping(server: MLServer) -> None:
    """Called when the server begins to stop, before it closes its listeners.

    Args:
        server: the server, which still answers.

    Raises:
        Nothing: an exception is logged with the plugin's name, and the stop goes on.

    Example plugin: the built-in ``logging``.
    """


@hookspec
def mlserver_model_loaded(model: MLModel) -> None:
    """Called after a model's ``load`` has succeeded and before it answers requests.

    Args:
        model: the loaded model.

    Raises:
        Nothing: an exception is logged with the plugin's name, and the model serves.

    Example plugin: the built-in ``logging``.
    """


@hookspec
def mlserver_model_unloaded(model: MLModel) -> None:
    """Called after a model's ``unload``.

    Args:
        model: the model, which answers no more.

    Raises:
        Nothing: an exception is logged with the plugin's name.

    Example plugin: the built-in ``logging``.
    """
