"""Which Python the workers of a model run, for what its settings say."""

from __future__ import annotations

import asyncio
import os
import sys

import attrs
import pytest

from mlserver_core import MLModel, ModelSettings, hookimpl
from mlserver_core.errors import ModelLoadError, RuntimeFailed, StartupError
from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.processes.environments.environments import Environments
from mlserver_core.executors.processes.frames import PROTOCOL
from mlserver_core.settings import Settings

MODEL = """
import os
import toydep
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    async def predict(self, payload):
        facts = {"toydep": toydep.VERSION, "pid": os.getpid()}
        return InferenceResponse(outputs=[], parameters=facts)
"""


@pytest.fixture
def a_model(folder_model):
    def make(name="m", implementation="models.Model", parallel_workers=None, **parameters):
        given = {} if parallel_workers is None else {"parallel_workers": parallel_workers}
        return folder_model(name, MODEL, implementation, parameters=parameters, **given)

    return make


@pytest.fixture
def begin(start, tmp_path):
    """Starts a server with one worker that unpacks below the test's folder."""

    async def begin_server(*models, **settings):
        values = {"environments_dir": str(tmp_path / "environments"), "parallel_workers": 1}
        return await start(*models, **{**values, **settings})

    return begin_server


@pytest.fixture
def facts(ask):
    async def ask_for(engine, name="m"):
        return (await ask(engine, name)).parameters

    return ask_for


@pytest.mark.parametrize("given", ["../env", "$MADE", "~/env", "../link"])
async def test_a_path_begins_at_the_settings_file_and_home_and_variables_are_put_in(
    begin, facts, a_model, environment, tmp_path, monkeypatch, given
):
    (tmp_path / "env").symlink_to(environment)
    (tmp_path / "link").symlink_to("env")
    monkeypatch.setenv("MADE", str(environment))
    monkeypatch.setenv("HOME", str(tmp_path))
    engine = await begin(a_model(environment_path=given))
    assert (await facts(engine)).toydep == "2.0"


async def test_models_of_one_environment_share_workers_and_no_others_do(
    begin, facts, a_model, environment, thin
):
    archive = str(thin("3.0"))
    path = {"environment_path": str(environment)}
    engine = await begin(
        a_model("path", **path),
        a_model("path_again", **path),
        a_model("named", inference_pool_gid="g", **path),
        a_model("archive", environment_tarball=archive),
        a_model("archive_again", environment_tarball="../environment.tar.gz"),
        a_model("archive_named", inference_pool_gid="g", environment_tarball=archive),
        a_model("alone", parallel_workers=1, environment_tarball=archive),
    )
    names = ["path", "path_again", "named", "archive", "archive_again", "archive_named", "alone"]
    found = {name: await facts(engine, name) for name in names}
    assert {name: each.toydep for name, each in found.items()} == {
        name: "2.0" if name in {"path", "path_again", "named"} else "3.0" for name in names
    }
    pids = {name: each.pid for name, each in found.items()}
    assert pids["path"] == pids["path_again"]
    assert pids["archive"] == pids["archive_again"]
    assert len(set(pids.values())) == 5


async def test_a_reload_with_another_archive_of_the_same_name_has_workers_of_its_own(
    begin, facts, a_model, thin, tmp_path
):
    options = {"name": "environment.tar", "mode": "w"}  # the same bytes each time
    thin("3.0", **options)
    a_model(environment_tarball="../environment.tar")
    engine = await begin(model_repository_root=str(tmp_path), load_models_at_startup=True)
    first = await facts(engine)
    (tmp_path / "environment.tar").write_bytes(b"cut off")
    with pytest.raises((ModelLoadError, RuntimeFailed), match="no tar archive"):
        await engine.load_model("m")
    assert (await facts(engine)).pid == first.pid
    thin("4.0", **options)
    await engine.load_model("m")
    second = await facts(engine)
    assert (first.toydep, second.toydep) == ("3.0", "4.0")
    assert first.pid != second.pid
    thin("3.0", **options)
    await engine.load_model("m")
    assert (await facts(engine)).toydep == "3.0"
    assert len(list((tmp_path / "environments").iterdir())) == 2


async def test_a_runtime_that_only_the_environment_has_is_found_there(begin, ask, environment):
    class Plugin:
        @hookimpl
        def mlserver_register_runtimes(self, registry):
            registry.add("on-both-sides", "mlserver_core.runtimes.echo.EchoRuntime")

    models = [
        ModelSettings(
            name=name, implementation=name, parameters={"environment_path": str(environment)}
        )
        for name in ("only-there", "on-both-sides")
    ]
    engine = await begin(*models, plugin=Plugin())
    for name in ("only-there", "on-both-sides"):
        assert (await ask(engine, name)).parameters.prefix == str(environment)


async def test_a_runtime_that_only_the_server_has_is_an_error_that_says_what_to_install(
    begin, environment
):
    class Plugin:
        @hookimpl
        def mlserver_register_runtimes(self, registry):
            registry.add("sklearn", "mlserver_core.runtimes.echo.EchoRuntime")

    model = ModelSettings(
        name="m", implementation="sklearn", parameters={"environment_path": str(environment)}
    )
    with pytest.raises(StartupError, match=r"no runtime 'sklearn'.*only-there.*pip install"):
        await begin(model, plugin=Plugin())


@pytest.mark.parametrize(
    ("doctored", "spoken"),
    [
        ("from mlserver_core.executors.processes import greeting; greeting.PROTOCOL = 99", "99 "),
        (
            "from mlserver_core.executors.processes import greeting\n"
            "greeting.make_hello = lambda pid: {'pid': pid}",
            "",
        ),
    ],
)
async def test_a_worker_that_speaks_another_protocol_is_ended_and_the_load_says_what_to_install(
    begin, a_model, thin, caplog, doctored, spoken
):
    thin("3.0", ("lib/sitecustomize.py", doctored.encode()))
    said = rf"speaks (protocol {spoken}|no numbered protocol).*speaks protocol {PROTOCOL}; install"
    with pytest.raises(StartupError, match=said):
        await begin(a_model(environment_tarball="../environment.tar.gz"))
    assert 1 <= caplog.text.count("has ended: its mlserver-core") <= 3


class Local(MLModel):
    pass


@pytest.mark.parametrize(
    ("model", "server", "text"),
    [
        ({}, {"parallel_workers": 0}, "parallel_workers is 0"),
        ({"parallel_workers": 0}, {}, "parallel_workers is 0"),
        ({"implementation": Local}, {}, "given in code"),
    ],
)
async def test_a_model_that_would_run_in_the_server_is_refused_and_never_imported(
    begin, thin, tmp_path, model, server, text
):
    thin("3.0")
    (tmp_path / "models.py").write_text("raise SystemExit('imported by the server')")
    values = {"name": "m", "implementation": "models.Model", **model}
    settings = ModelSettings(
        parameters={"environment_tarball": "environment.tar.gz"},
        source=tmp_path / "model-settings.json",
        **values,
    )
    with pytest.raises(StartupError, match=f"own process.*{text}"):
        await begin(settings, **server)
    assert not (tmp_path / "environments").exists()


async def test_a_plugins_executor_that_runs_models_in_the_server_is_refused_too(begin, a_model):
    class Plugin:
        @hookimpl
        def mlserver_register_executors(self, registry, settings):
            registry.add("mine", InlineExecutor)

    model = attrs.evolve(a_model(environment_path="/nowhere"), executor="mine")
    with pytest.raises(StartupError, match="executor 'mine' runs it there"):
        await begin(model, plugin=Plugin())


async def test_an_archive_and_a_path_at_once_are_refused(begin, a_model):
    with pytest.raises(StartupError, match="both set; leave one out"):
        await begin(a_model(environment_path="a", environment_tarball="b"))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("nowhere", "nowhere is not there"),
        ("models.py", "is no folder"),
        (".", "has no bin/python"),
    ],
)
async def test_a_path_that_is_no_environment_is_named_with_its_setting(begin, a_model, given, text):
    with pytest.raises(StartupError, match=f"parameters.environment_path: .*{text}"):
        await begin(a_model(environment_path=given))


@pytest.mark.parametrize("name", ["environment_path", "environment_tarball"])
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("~nobody-of-that-name/env", "no such home directory"),
        ("n" * 300, "File name too long"),
    ],
)
async def test_a_path_that_none_can_be_is_an_error_of_its_setting(a_model, name, given, text):
    environments = Environments(Settings())
    with pytest.raises(ModelLoadError, match=f"parameters.{name}: .*({text})"):
        await environments.find(a_model(**{name: given}))


async def test_an_empty_name_is_none(begin, facts, a_model, tmp_path, monkeypatch):
    (tmp_path / "toydep.py").write_text("VERSION = '1.0'")
    monkeypatch.syspath_prepend(tmp_path)
    engine = await begin(a_model(environment_path="", environment_tarball=""))
    assert (await facts(engine)).toydep == "1.0"


async def give_up(finding, fact):
    """Gives it up when something is there, and waits for its thread."""

    def wait():
        while not fact():
            assert not finding.done()

    await asyncio.to_thread(wait)
    finding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finding
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_a_load_that_is_given_up_while_it_unpacks_leaves_nothing_behind(
    a_model, thin, tmp_path
):
    thin("3.0", *((f"file{number}", b"") for number in range(5_000)))
    folder = tmp_path / "environments"
    environments = Environments(Settings(environments_dir=str(folder)))
    finding = asyncio.ensure_future(
        environments.find(a_model(environment_tarball="../environment.tar.gz"))
    )

    await give_up(finding, lambda: list(folder.glob("*/env/file1")))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["environment_path", "environment_tarball"])
async def test_a_load_that_is_given_up_ends_the_python_that_it_asks(a_model, tar, tmp_path, kind):
    pid = tmp_path / "pid"
    hangs = f"#!/bin/sh\necho $$ > {pid}.new\nmv {pid}.new {pid}\nexec sleep 1000\n"
    python = tmp_path / "folder" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(hangs)
    python.chmod(0o755)
    archive = tar(("bin/python", hangs.encode()))
    given = archive if kind == "environment_tarball" else tmp_path / "folder"
    environments = Environments(Settings(environments_dir=str(tmp_path / "environments")))
    finding = asyncio.ensure_future(environments.find(a_model(**{kind: str(given)})))
    await give_up(finding, pid.exists)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("exit 3", "ended with code 3"),
        ("echo hello", "is no Python"),
        ("echo 3", "is no Python"),
        ("""echo '{"python": null}'""", "is no Python"),
        ("""echo '{"python": [3, 9]}'""", "has Python 3.9; mlserver-core needs 3.10"),
        (
            """echo '{"python": [3, 11], "lacking": true, "failure": "x"}'""",
            "mlserver-core is not installed in it: run `pip install mlserver-core==",
        ),
        (
            """echo '{"python": [3, 11], "protocol": 0, "release": "0.0.1"}'""",
            "mlserver-core 0.0.1 speaks protocol 0 .*install mlserver-core==",
        ),
        (
            """echo '{"python": [3, 11], "protocol": null}'""",
            "of unknown version speaks no numbered protocol",
        ),
        (
            """echo '{"python": [3, 11], "failure": "ModuleNotFoundError: No numpy"}'""",
            "cannot be imported .ModuleNotFoundError: No numpy",
        ),
    ],
)
async def test_what_is_wrong_with_its_python_is_said_before_the_load(
    begin, a_model, tar, script, text
):
    tar(("bin/python", f"#!/bin/sh\n{script}\n".encode()))
    with pytest.raises(StartupError, match=text) as caught:
        await begin(a_model(environment_tarball="../environment.tar.gz"))
    assert "environment.tar.gz: " in str(caught.value)
    assert sys.executable not in str(caught.value)
