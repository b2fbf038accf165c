# Web, migrations, beat and the sweeper: everything but training, so no torch.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 HOME=/var/lib/flopwise
WORKDIR /srv/flopwise

COPY docker/requirements-web.txt ./
RUN pip install --no-cache-dir -r requirements-web.txt

COPY manage.py ./
COPY training training
COPY webapp webapp
# The settings want their secrets even for this; none of them stays in the image.
RUN SECRET_KEY="$(python -c 'print("build" * 10)')" DATABASE_URL=postgres://build@/build REDIS_URL=redis://build \
    python manage.py collectstatic --no-input \
    && install -d -o 10001 -g 10001 /var/lib/flopwise

USER 10001:10001
EXPOSE 8000
CMD ["uvicorn", "webapp.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--no-access-log", "--timeout-graceful-shutdown", "10"]
