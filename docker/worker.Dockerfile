# A worker that trains, on a GPU where it is given one: torch from PyPI carries CUDA.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 HOME=/var/lib/flopwise
WORKDIR /srv/flopwise

# For torch.compile; Debian drops superseded versions, so a pin would break the build.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*

COPY requirements.txt ./
RUN sed '/^# --- development ---/,$d' requirements.txt > requirements-worker.txt \
    && pip install --no-cache-dir -r requirements-worker.txt

ARG REVISION=unknown
ENV FLOPWISE_REVISION=$REVISION
COPY manage.py ./
COPY training training
COPY webapp webapp
COPY worker worker
RUN install -d -o 10001 -g 10001 /var/lib/flopwise

USER 10001:10001
CMD ["celery", "-A", "worker.app", "worker", "-Q", "cpu", "--pool", "solo", "--loglevel", "INFO"]
