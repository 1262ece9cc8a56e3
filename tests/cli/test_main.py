from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import click
import pytest
from click.testing import CliRunner

from mlserver_core import hookimpl
from mlserver_core.cli.main import Commands, make_commands
from mlserver_core.errors import PluginError
from mlserver_core.hooks.manager import PluginManager

HEAVY = (
    "aiohttp",
    "grpclib",
    "betterproto",
    "google.protobuf",
    "sklearn",
    "pandas",
    "joblib",
    "rich",
)


def test_help_lists_the_commands():
    shown = CliRunner().invoke(make_commands(), ["--help"])
    assert shown.exit_code == 0
    for word in ("start", "plugins", "--version", "Serves Python models"):
        assert word in shown.output
    assert CliRunner().invoke(make_commands(), ["-h"]).output == shown.output


def test_help_of_a_command_explains_its_options():
    shown = CliRunner().invoke(make_commands(), ["start", "--help"])
    assert shown.exit_code == 0
    for word in ("FOLDER", "--host", "--http-port", "--grpc-port", "--metrics-port", "--strict"):
        assert word in shown.output


def test_version_is_that_of_the_package():
    shown = CliRunner().invoke(make_commands(), ["--version"])
    assert shown.output == f"mlserver, version {metadata.version('mlserver-core')}\n"


def test_an_unknown_command_is_refused():
    refused = CliRunner().invoke(make_commands(), ["strat"])
    assert refused.exit_code == 2
    assert "strat" in refused.output


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["start", "--help"], ["infer", "--help"], ["init", "--help"], ["--version"]],
)
def test_help_starts_no_server_stack(arguments):
    code = (
        "import sys\n"
        "from mlserver_core.cli.main import main\n"
        f"try:\n    main({arguments!r})\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert ended.stdout.splitlines()[-1] == "loaded: []"


def test_the_command_runs_as_a_module_and_as_a_script(mlserver):
    as_module = mlserver("--version")
    assert as_module.returncode == 0
    [point] = metadata.entry_points(group="console_scripts", name="mlserver")
    assert point.value == "mlserver_core.cli.main:main"
    assert callable(point.load())


def test_a_second_command_of_one_name_is_refused_with_the_plugin():
    class Plugin:
        @hookimpl
        def mlserver_add_commands(self, commands):
            commands.add_command(click.Command("start"))

    commands = Commands(name="mlserver")
    commands.add_command(click.Command("start"))
    manager = PluginManager()
    manager.register("mine", Plugin())
    with pytest.raises(PluginError) as refused:
        manager.collect("mlserver_add_commands", commands=commands)
    assert str(refused.value).startswith("plugin 'mine': hook mlserver_add_commands failed: ")
    assert "there is a command 'start' already" in str(refused.value)


def test_a_second_command_of_one_name_by_another_name_is_fine():
    commands = Commands(name="mlserver")
    commands.add_command(click.Command("start"))
    commands.add_command(click.Command("start"), "begin")
    assert sorted(commands.commands) == ["begin", "start"]


def test_a_command_of_a_plugin_can_be_run(mlserver, installed):
    code = """
        import click
        from mlserver_core import hookimpl

        @click.command("greet")
        def greet():
            click.echo("hello")

        @hookimpl
        def mlserver_add_commands(commands):
            commands.add_command(greet)
    """
    path = installed("greeter", code)
    assert mlserver("greet", PYTHONPATH=path).stdout == "hello\n"
    assert mlserver("greet", PYTHONPATH=path, MLSERVER_BLOCK_PLUGINS="greeter").returncode == 2


@pytest.mark.parametrize("arguments", [["--help"], ["start", "."], ["plugins"]])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import nowhere_of_test", "No module named 'nowhere_of_test'"),
        ("", "has no function marked with @mlserver_core.hookimpl"),
        (
            "from mlserver_core import hookimpl\n"
            "@hookimpl\ndef mlserver_register_runtime(registry): ...",
            "did you mean mlserver_register_runtimes?",
        ),
        (
            "from mlserver_core import hookimpl\n"
            "@hookimpl\ndef mlserver_register_runtimes(registri): ...",
            "registri",
        ),
        (
            "import click\nfrom mlserver_core import hookimpl\n"
            "@hookimpl\ndef mlserver_add_commands(commands):\n"
            "    commands.add_command(click.Command('start'))",
            "there is a command 'start' already",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_ends_every_command(
    mlserver, installed, arguments, code, text
):
    ended = mlserver(*arguments, PYTHONPATH=installed("broken", code))
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: plugin 'broken': ")
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_broken_plugin_can_be_blocked(mlserver, installed):
    path = installed("broken", "import nowhere_of_test")
    ended = mlserver("--help", PYTHONPATH=path, MLSERVER_BLOCK_PLUGINS="broken")
    assert ended.returncode == 0
