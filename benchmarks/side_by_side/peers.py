"""The servers: what to install, what to serve, how to start."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
_SERVED = Path(__file__).with_name("served")
#: The same in every environment, so that the same classifier is asked.
_SCIKIT = ("scikit-learn==1.9.1", "joblib")


@attrs.frozen(kw_only=True)
class Setup:
    """One way to run a server.

    Attributes:
        python: of its environment.
        folder: its own, for what it serves and what it prints.
        http_port, grpc_port, metrics_port: where it is to listen.
        workers: the setting ``parallel_workers``; None leaves the server's default.
        only_sum: serve the smallest model alone.
    """

    python: Path
    folder: Path
    http_port: int
    grpc_port: int
    metrics_port: int
    workers: int | None = 0
    only_sum: bool = False


@attrs.frozen(kw_only=True)
class Peer:
    """A server that can be measured.

    Attributes:
        name: in tables.
        distribution: whose version is told.
        importing: imports what a model is made of.
        environment: the name of its virtual environment.
        requirements: what pip installs.
        cases: the names of the cases it can answer.
        prepare: writes what it serves, and returns the command that starts it.
    """

    name: str
    distribution: str
    importing: str
    environment: str
    requirements: Sequence[str]
    cases: frozenset[str]
    prepare: Callable[[Setup], list[str]]


def _write(path: Path, value: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _train_iris(setup: Setup) -> Path:
    path = setup.folder / "models" / "iris" / "iris.joblib"
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([setup.python, _SERVED / "train_iris.py", path], check=True)
    return path


def _write_settings(setup: Setup, **more: object) -> None:
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "http_port": setup.http_port,
        "grpc_port": setup.grpc_port,
        "metrics_port": setup.metrics_port,
        **more,
    }
    if setup.workers is not None:
        settings["parallel_workers"] = setup.workers
    _write(setup.folder / "models" / "settings.json", settings)


def _write_models(setup: Setup, package: str, *, plain: bool) -> None:
    """The folder as MLServer and we read it; the code differs in the package that it imports."""
    folder = setup.folder / "models"
    code = (_SERVED / "models.py").read_text(encoding="utf-8")
    code = code.replace("from mlserver", f"from {package}")
    batching = {"max_batch_size": 32, "max_batch_time": 0.005}
    models: dict[str, tuple[str, dict[str, float]]] = {"sum": ("Sum", {})}
    if not setup.only_sum:
        models["slow"] = ("Slow", batching)
    if plain and not setup.only_sum:
        models["plain-slow"] = ("PlainSlow", batching)
    for name, (kind, more) in models.items():
        module = f"{name.replace('-', '_')}_model"
        _write(
            folder / name / "model-settings.json",
            {"name": name, "implementation": f"{module}.{kind}", **more},
        )
        (folder / name / f"{module}.py").write_text(code, encoding="utf-8")


def _prepare_ours(setup: Setup) -> list[str]:
    _write_settings(setup)
    _write_models(setup, "mlserver_core", plain=True)
    _write_iris(setup, "sklearn")
    return [str(setup.python.with_name("mlserver")), "start", str(setup.folder / "models")]


def _prepare_mlserver(setup: Setup, **more: object) -> list[str]:
    _write_settings(setup, **more)
    _write_models(setup, "mlserver", plain=False)
    _write_iris(setup, "mlserver_sklearn.SKLearnModel")
    return [str(setup.python.with_name("mlserver")), "start", str(setup.folder / "models")]


def _write_iris(setup: Setup, implementation: str) -> None:
    if setup.only_sum:
        return
    path = _train_iris(setup)
    _write(
        path.with_name("model-settings.json"),
        {
            "name": "iris",
            "implementation": implementation,
            "parameters": {"uri": f"./{path.name}"},
        },
    )


def _prepare_kserve(setup: Setup) -> list[str]:
    ports = [str(setup.http_port), str(setup.grpc_port)]
    paths = [] if setup.only_sum else [str(_train_iris(setup))]
    return [str(setup.python), str(_SERVED / "kserve_models.py"), *ports, *paths]


def _prepare_bare(setup: Setup) -> list[str]:
    return [str(setup.python), str(_SERVED / "bare_handler.py"), str(setup.http_port)]


_ALL_SUMS = frozenset(
    {"rest 1x4", "rest 128x128", "rest 1x1000000", "binary 1x1000000", "grpc 1x4", "grpc 1x1000000"}
)
_OURS_REQUIREMENTS = ("-e", str(ROOT), "-e", str(ROOT / "plugins" / "sklearn"), *_SCIKIT)

OURS = Peer(
    name="mlserver-core",
    distribution="mlserver-core",
    importing="from mlserver_core import MLModel",
    environment="mlserver-core",
    requirements=_OURS_REQUIREMENTS,
    cases=_ALL_SUMS | {"rest iris", "batching", "batching, plain def", "workers: rest iris"},
    prepare=_prepare_ours,
)
#: A bare handler runs in our own environment: aiohttp, orjson, numpy and uvloop are the same.
BARE = Peer(
    name="bare handler",
    distribution="aiohttp",
    importing="from aiohttp import web",
    environment="mlserver-core",
    requirements=_OURS_REQUIREMENTS,
    cases=frozenset({"rest 1x4", "rest 128x128", "rest 1x1000000"}),
    prepare=_prepare_bare,
)
MLSERVER = Peer(
    name="MLServer",
    distribution="mlserver",
    importing="from mlserver import MLModel",
    environment="mlserver",
    # With the uvloop that is resolved without a bound, 1.7.1 does not start.
    requirements=("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22", *_SCIKIT),
    cases=_ALL_SUMS - {"binary 1x1000000"} | {"rest iris", "batching", "workers: rest iris"},
    prepare=_prepare_mlserver,
)
#: By default MLServer writes a line into the log for each request, which this one does not.
MLSERVER_QUIET = attrs.evolve(
    MLSERVER, name="MLServer, debug off", prepare=partial(_prepare_mlserver, debug=False)
)
KSERVE = Peer(
    name="KServe SDK",
    distribution="kserve",
    importing="from kserve import Model",
    environment="kserve",
    requirements=("kserve==0.21.0", *_SCIKIT),
    cases=_ALL_SUMS | {"rest iris"},
    prepare=_prepare_kserve,
)
#: By the name that the command line takes.
PEERS = {"mlserver": MLSERVER, "quiet": MLSERVER_QUIET, "kserve": KSERVE, "bare": BARE}
