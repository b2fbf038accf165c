"""All settings, from the environment, in one place. Boot fails loudly when one is missing or unsafe."""

from __future__ import annotations

from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
if (BASE_DIR / ".env").exists():
    environ.Env.read_env(BASE_DIR / ".env", overwrite=False)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured(
        "SECRET_KEY needs at least 50 characters: python -c 'import secrets; print(secrets.token_urlsafe(64))'"
    )
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("HTTPS", default=False)
"""Whether people reach the site by HTTPS; turns on secure cookies, HSTS and the redirect."""

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "axes",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "webapp.teams",
    "webapp.datasets",
    "webapp.experiments",
    "webapp.runs",
    "webapp.results",
    "webapp.reviews",
    "webapp.api",
    "webapp.demo",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "webapp.limits.Guard",
]
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "webapp" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.navigation.navigation",
            ]
        },
    }
]

POOL = {"min_size": 1, "max_size": 8, "timeout": 5} if env.bool("DATABASE_POOL", default=False) else False
"""For the web process alone: a worker's few threads hold one connection each, and a pool that lost its server may wait
longer before it tries again than a lease lasts."""
DATABASES = {"default": env.db("DATABASE_URL")}
DATABASES["default"] |= {
    "CONN_MAX_AGE": 0,
    "OPTIONS": {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    | DATABASES["default"].get("OPTIONS", {})
    | {"pool": POOL},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL")

# Where a worker leases, and how often who looks. PostgreSQL's clock decides.
LEASE_SECONDS = env.float("LEASE_SECONDS", default=60.0)
HEARTBEAT_SECONDS = env.float("HEARTBEAT_SECONDS", default=10.0)
REAP_SECONDS = env.float("REAP_SECONDS", default=10.0)
DISPATCH_SECONDS = env.float("DISPATCH_SECONDS", default=2.0)
GRACE_SECONDS = env.float("GRACE_SECONDS", default=60.0)
"""How long a trainer that was asked to stop may take for its last checkpoint."""
STALL_SECONDS = env.float("STALL_SECONDS", default=600.0)
"""A trainer without a step for this long is taken for hung."""
QUIET_SECONDS = env.float("QUIET_SECONDS", default=7200.0)
"""The same of one that prepares data or scores, and logs nothing."""
CHECKPOINT_SECONDS = env.float("CHECKPOINT_SECONDS", default=30.0)
"""The most work that a crash can cost."""
BACKOFF_SECONDS = env.list("BACKOFF_SECONDS", cast=float, default=[10.0, 60.0, 300.0])
"""Wait before the next attempt, by attempts without progress."""
ATTEMPTS_WITHOUT_PROGRESS = env.int("ATTEMPTS_WITHOUT_PROGRESS", default=3)
ATTEMPTS_AT_ALL = env.int("ATTEMPTS_AT_ALL", default=50)

ARTIFACT_ROOT = Path(env.str("ARTIFACT_ROOT", default=str(BASE_DIR / "var" / "artifacts")))
"""Checkpoints, weights, logs and uploads, by opaque id."""
DATA_ROOT = Path(env.str("DATA_ROOT", default=str(BASE_DIR / "var" / "data")))
"""Text files and folders that an operator offers as `text:<name>`."""
CACHE_ROOT = Path(env.str("CACHE_ROOT", default=str(BASE_DIR / "var" / "cache")))
"""Tokenised data, rebuilt when missing."""

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 10
AXES_LOCKOUT_TEMPLATE = "teams/lockout.html"
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.api.tokens.BearerToken",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["webapp.api.wire.StrictJSON"],
    "DEFAULT_RENDERER_CLASSES": ["webapp.api.wire.StrictRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "webapp.api.wire.OneFormat",
    "DEFAULT_THROTTLE_CLASSES": ["webapp.api.throttles.Reads", "webapp.api.throttles.Writes"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "webapp.api.failures.handle",
}
API_RATES = {
    "read": env.str("API_READ_RATE", default="1200/min"),
    "write": env.str("API_WRITE_RATE", default="120/min"),
}
"""Requests per person."""
SPECTACULAR_SETTINGS = {
    "TITLE": "Flopwise",
    "DESCRIPTION": "Does a training-cost method save compute at equal quality? Launch, watch and compare experiments.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["webapp.api.schema.complete"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

POWER_WATTS = env.dict("POWER_WATTS", cast={"value": float}, default={})
"""Power of one busy worker by queue, for forecasts: `cpu=65;gpu=700`; without it no energy is forecast."""
PRICE_PER_KWH = env.float("PRICE_PER_KWH", default=None)
PRICE_PER_HOUR = env.dict("PRICE_PER_HOUR", cast={"value": float}, default={})
"""Of one busy worker by queue, energy apart; without any price no money is forecast."""
CURRENCY = env.str("CURRENCY", default="EUR")

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "webapp" / "static"]
WHITENOISE_USE_FINDERS = True
"""Static files are served from where they lie; nothing has to be collected first."""
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
QUEUE_SHOWN = env.int("QUEUE_SHOWN", default=200)
"""Waiting runs that the queue page lists."""
DATASET_MAX_BYTES = env.int("DATASET_MAX_BYTES", default=1024**3)
"""Largest file that a person may upload."""
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {name: {"level": "WARNING"} for name in ("django", "axes")},
}
"""Everything worth knowing goes to standard error; whoever runs the process keeps it."""
