"""Reads estimators from files, within what the operator allows."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
from sklearn import __version__ as sklearn_version
from sklearn.exceptions import InconsistentVersionWarning

from mlserver_core import ModelSettings, find_artifact
from mlserver_core.errors import ModelLoadError

logger = logging.getLogger("mlserver")

#: What is looked for in a folder, in this order.
WELLKNOWN = ("model.joblib", "model.pickle", "model.pkl", "model.skops")
PICKLES = (".joblib", ".pickle", ".pkl")
SKOPS = ".skops"

#: Recording warnings changes the whole process, so that two threads must not do it at a time.
_recording = threading.Lock()


def load_artifact(settings: ModelSettings) -> Any:
    """The object in the file that ``parameters.uri`` names, or in the first well-known one.

    Args:
        settings: of the model; ``settings.policy`` says what may be loaded.

    Raises:
        InvalidModelURI: no ``uri``, or nothing is there.
        ModelLoadError: no such file in the folder, a format that is not known, or one that
            the operator does not allow.
    """
    path = _find(settings)
    with _version_warnings_logged(settings.name, path.name):
        if path.suffix == SKOPS:
            return _load_skops(settings, path)
        return _load_pickle(settings, path)


def _find(settings: ModelSettings) -> Path:
    found = find_artifact(settings, WELLKNOWN)
    path = Path(found)
    if path.is_dir():
        raise ModelLoadError(
            settings.name,
            f"the folder {path.name!r} that parameters.uri names holds none of "
            f"{', '.join(WELLKNOWN)}",
        )
    if not path.is_file():
        raise ModelLoadError(
            settings.name, f"parameters.uri is {found!r}; only files on this machine can be loaded"
        )
    if path.suffix not in (*PICKLES, SKOPS):
        raise ModelLoadError(
            settings.name,
            f"the format of {path.name!r} is told by its suffix, and {path.suffix!r} is none of "
            f"{', '.join((*PICKLES, SKOPS))}",
        )
    return path


def _load_pickle(settings: ModelSettings, path: Path) -> Any:
    if not settings.policy.allow_pickle:
        raise ModelLoadError(
            settings.name,
            f"{path.name!r} is a pickle, which runs code when it is loaded, and allow_pickle is "
            "false. Save the model with skops.io.dump and name that file in parameters.uri; or, "
            "if you trust whoever made the file, allow it with allow_pickle in settings.json "
            "(MLSERVER_ALLOW_PICKLE) and in model-settings.json",
        )
    logger.warning(
        "Model %r: loading %s runs code that is in the file; serve only files of people you "
        "trust, or use the skops format",
        settings.name,
        path.name,
    )
    return joblib.load(path)


def _load_skops(settings: ModelSettings, path: Path) -> Any:
    """Builds what the file names, if skops or the operator trusts every type of it.

    skops tells types by the names written in the file, and compares these before it imports
    any. The names come from the operator's settings only: a file beside the model could
    otherwise vouch for itself.
    """
    from skops import io  # imports all of scikit-learn

    trusted = settings.policy.trusted_types
    untrusted = [name for name in io.get_untrusted_types(file=path) if name not in trusted]
    if untrusted:
        raise ModelLoadError(
            settings.name,
            f"{path.name!r} holds types that are not trusted: {', '.join(untrusted)}. If you "
            "trust whoever made the file, add these names to the server's setting trusted_types "
            "in settings.json (MLSERVER_TRUSTED_TYPES)",
        )
    return io.load(path, trusted=list(trusted))  # compares again, in what it really loads


@contextmanager
def _version_warnings_logged(model: str, file: str) -> Iterator[None]:
    """One line in the log for all estimators inside that another scikit-learn has saved."""
    recorded: list[warnings.WarningMessage] = []
    with _recording:
        try:
            with warnings.catch_warnings(record=True) as recorded:
                warnings.simplefilter("always", InconsistentVersionWarning)
                yield
        finally:  # also where loading has failed, as it may say why
            _pass_on(recorded, model, file)


def _pass_on(recorded: list[warnings.WarningMessage], model: str, file: str) -> None:
    versions = set()
    for warning in recorded:
        if isinstance(warning.message, InconsistentVersionWarning):
            versions.add(warning.message.original_sklearn_version)
        else:  # somebody else's: it goes where it would have gone
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if versions:
        logger.warning(
            "Model %r: %s was saved by scikit-learn %s and this is %s, so its answers may be "
            "wrong; save it again with this version, or install that one",
            model,
            file,
            ", ".join(sorted(versions)),
            sklearn_version,
        )
