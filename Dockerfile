# The image that models are served from, and that `mlserver build` builds on:
#     docker build -t mlserver-core:0.1.0-slim .
# and the same with runtimes, by the names of their folders in plugins/ ("all" for all of them):
#     docker build -t mlserver-core:0.1.0-sklearn --build-arg RUNTIMES=sklearn .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
USER 0
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_TRUSTED_HOST
WORKDIR /source
COPY . .
# The project's wheels stay in the image: later builds find runtimes there, and conda environments
# the server.
RUN python3 -m pip wheel --no-cache-dir --no-deps -w /opt/mlserver/wheels . ./plugins/*/
RUN python3 -m venv /opt/mlserver/venv \
    && /opt/mlserver/venv/bin/python -m pip install --no-cache-dir \
        /opt/mlserver/wheels/mlserver_core-*.whl
ARG RUNTIMES=""
RUN if [ "$RUNTIMES" = all ]; then RUNTIMES=$(ls plugins); fi \
    && for name in $RUNTIMES; do \
        /opt/mlserver/venv/bin/python -m pip install --no-cache-dir -f /opt/mlserver/wheels \
            /opt/mlserver/wheels/mlserver_core_"$name"-*.whl || exit 1; \
    done
USER 1000

FROM ${PYTHON_IMAGE}
USER 0
COPY --from=build /opt/mlserver/ /opt/mlserver/
# Lies below all other settings, so that those may say otherwise.
RUN mkdir -p /opt/mlserver/models /opt/mlserver/defaults \
    && echo MLSERVER_HOST=0.0.0.0 > /opt/mlserver/defaults/.env \
    && echo MLSERVER_ENVIRONMENTS_DIR=/tmp/mlserver/environments >> /opt/mlserver/defaults/.env
WORKDIR /opt/mlserver/models
ENV PATH=/opt/mlserver/venv/bin:$PATH \
    MLSERVER_MODELS_DIR=/opt/mlserver/models \
    MLSERVER_DEFAULTS_DIRS=/opt/mlserver/models:/opt/mlserver/defaults \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1
USER 1000
EXPOSE 8080 8081 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["mlserver", "healthcheck"]
CMD ["sh", "-c", "exec mlserver start \"$MLSERVER_MODELS_DIR\""]
