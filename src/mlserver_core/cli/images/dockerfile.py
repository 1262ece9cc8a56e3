"""The Dockerfile of a folder. Every tool that builds images has to understand it: Docker with and
without BuildKit, Podman, Buildah and Kaniko.

That is why it names no file that is not there, and has no globs in COPY, no here-documents, no
``RUN --mount`` and no ``COPY --chmod``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlserver_core.cli.images.contents import Contents, UnusableFolder

#: Where conda environments are made, unless a build argument says otherwise.
_CONDA_IMAGE = "condaforge/miniforge3:25.3.1-0"
#: Settings of pip that a build may be given.
PIP_ARGUMENTS = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_TRUSTED_HOST",
)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")

_HOME = "/opt/mlserver"
_MODELS = f"{_HOME}/models"
_DEFAULTS = f"{_HOME}/defaults"
_WHEELS = f"{_HOME}/wheels"
_ENVIRONMENT = f"{_HOME}/environment"


def make_dockerfile(contents: Contents, *, base_image: str, version: str, source: str = ".") -> str:
    """The text of the Dockerfile.

    Args:
        contents: of the folder.
        base_image: has Python and the server.
        version: of the server, which a conda environment gets.
        source: where the folder is in the context of the build.

    Raises:
        UnusableFolder: ``base_image`` is no name of an image.
    """
    if not _IMAGE.fullmatch(base_image):
        raise UnusableFolder(f"expected the name of an image, got {base_image!r}")
    stages = [_arguments(contents, base_image, version), _base()]
    if contents.conda:
        stages.append(_environment(contents, source))
    stages += [_files(source), _image(contents, version, source)]
    return "\n\n".join("\n".join(stage) for stage in stages) + "\n"


def _arguments(contents: Contents, base_image: str, version: str) -> Iterator[str]:
    yield f"# Made by `mlserver dockerfile` of mlserver-core {version}."
    yield f"ARG BASE_IMAGE={base_image}"
    if contents.conda:
        yield f"ARG ENV_BUILDER_IMAGE={_CONDA_IMAGE}"


def _base() -> Iterator[str]:
    yield "FROM ${BASE_IMAGE} AS base"
    yield "USER 0"
    # Lies below the settings of the folder, so that those may say otherwise.
    yield f"RUN mkdir -p {_MODELS} {_WHEELS} {_DEFAULTS} \\"
    yield f"    && echo MLSERVER_HOST=0.0.0.0 > {_DEFAULTS}/.env \\"
    yield f"    && echo MLSERVER_ENVIRONMENTS_DIR=/tmp/mlserver/environments >> {_DEFAULTS}/.env"
    yield "USER 1000"


def _environment(contents: Contents, source: str) -> Iterator[str]:
    """A conda environment, unpacked at its place: nothing is left to do when a container starts."""
    file = contents.conda
    yield "FROM ${ENV_BUILDER_IMAGE} AS environment"
    yield "USER 0"
    yield from (f"ARG {name}" for name in PIP_ARGUMENTS)
    yield "WORKDIR /tmp/environment/files"
    yield f"COPY --from=base {_WHEELS}/ {_WHEELS}/"
    yield f"COPY {source}/ ./" if contents.local_conda else f"COPY {source}/{file} ./{file}"
    yield f'RUN PIP_FIND_LINKS="{_WHEELS} ${{PIP_FIND_LINKS:-}}" \\'
    yield f"        conda env create --quiet -p /tmp/environment/conda -f {file}"
    yield "RUN { command -v conda-pack >/dev/null \\"
    yield "        || python3 -m pip install --no-cache-dir conda-pack==0.9.2; } \\"
    yield "    && conda-pack -p /tmp/environment/conda --ignore-missing-files -o ../packed.tar \\"
    yield f"    && mkdir -p {_ENVIRONMENT} \\"
    yield f"    && tar -xf ../packed.tar -C {_ENVIRONMENT} \\"
    yield f"    && {_ENVIRONMENT}/bin/python {_ENVIRONMENT}/bin/conda-unpack \\"
    yield "    && rm ../packed.tar"
    yield "USER 1000"


def _files(source: str) -> Iterator[str]:
    """A stage of its own, since to change the rights of a file writes it a second time."""
    yield "FROM base AS files"
    yield "USER 0"
    yield f"COPY {source}/ {_MODELS}/"
    yield f"RUN chmod -R a+rX,g=u {_MODELS}"
    yield "USER 1000"


def _image(contents: Contents, version: str, source: str) -> Iterator[str]:
    yield "FROM base"
    yield "USER 0"
    yield f"WORKDIR {_MODELS}"
    if contents.conda:
        yield f"COPY --from=environment {_ENVIRONMENT}/ {_ENVIRONMENT}/"
    copies = f"COPY --from=files --chown=1000:0 {_MODELS}/ {_MODELS}/"
    if contents.local_requirements:
        yield copies
    if contents.requirements or contents.conda:
        yield from _install(contents, version, source)
    if not contents.local_requirements:
        yield copies
    if contents.conda:
        yield f"ENV PATH={_ENVIRONMENT}/bin:$PATH PYTHONNOUSERSITE=1"
    yield f"ENV MLSERVER_MODELS_DIR={_MODELS} \\"
    yield f"    MLSERVER_DEFAULTS_DIRS={_MODELS}:{_DEFAULTS} \\"
    yield "    HOME=/tmp \\"
    yield "    PYTHONDONTWRITEBYTECODE=1"
    yield "USER 1000"
    yield "EXPOSE 8080 8081 8082"
    yield "STOPSIGNAL SIGTERM"
    yield "HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \\"
    yield '    CMD ["mlserver", "healthcheck"]'
    yield f"CMD [{_command(contents)}]"


def _install(contents: Contents, version: str, source: str) -> Iterator[str]:
    """Installs what the folder asks for into the Python that the server runs in."""
    yield from (f"ARG {name}" for name in PIP_ARGUMENTS)
    pip = "python3 -m pip"
    server = "mlserver-core"  # that of the base image stays, as it satisfies this
    if contents.conda:
        pip += f" --python {_ENVIRONMENT}/bin/python"
        server = f"'mlserver-core~={version}'"
    file = contents.requirements
    if file is not None and not contents.local_requirements:
        yield f"COPY {source}/{file} {_HOME}/{file}"
        file = f"{_HOME}/{file}"
    yield f"RUN {pip} install --no-cache-dir \\"
    yield f"        --find-links {_WHEELS} {server}" + (f" -r {file}" if file else "")


def _command(contents: Contents) -> str:
    """The words of CMD. The shell makes way for the server, which so gets the signals."""
    start = r"exec mlserver start \"$MLSERVER_MODELS_DIR\""
    if contents.conda:  # packages set variables when their environment is activated
        return f'"bash", "-c", ". {_ENVIRONMENT}/bin/activate && {start}"'
    return f'"sh", "-c", "{start}"'
