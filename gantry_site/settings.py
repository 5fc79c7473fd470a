"""Django settings, and the only reader of the environment.

Every setting can be given in the environment or in a file `.env` beside manage.py; `.env.example` explains each.
Whatever has a default needs no setting at all: `make run` works on a bare machine.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import environ

from gantry_site import schedule
from models_admin import data_folder

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

# Where things are -----------------------------------------------------------------------------------------------

DATA_DIR = Path(env.str("GANTRY_DATA_DIR", default=str(BASE_DIR / "var"))).expanduser().absolute()
PORT = env.int("PORT", default=8000)
SERVER = env.str("SERVER", default="daphne")
BIND = env.str("GANTRY_BIND", default="127.0.0.1")
# Each web process fills one core at most, and takes some 100 MiB.
WEBS = env.int("WEBS", default=min(4, len(os.sched_getaffinity(0))))
# Seconds in which a request must have come, to its last byte: whoever drips it in holds a place until then.
REQUEST_SECONDS = env.float("REQUEST_SECONDS", default=120.0)
_secret_key, _database_url = env.str("SECRET_KEY", default=""), env.str("DATABASE_URL", default="")
# With SECRET_KEY and DATABASE_URL set, only `up` needs the folder.
DATA_DIR_NEEDED = not (_secret_key and _database_url)
try:
    if DATA_DIR_NEEDED:
        data_folder.make(DATA_DIR, ["secret.key"] if _database_url else ["gantry.sqlite3"])
    SECRET_KEY = _secret_key or data_folder.kept_secret(DATA_DIR / "secret.key")
except OSError as error:
    raise SystemExit(data_folder.refusal(DATA_DIR, error)) from None
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Where the site begins on its host: "" or, behind a proxy that gives it a folder, "/gantry".
_folder = env.str("FORCE_SCRIPT_NAME", default="").strip()
FORCE_SCRIPT_NAME = f"/{_folder.strip('/')}".rstrip("/")
ADMIN_PASSWORD = env.str("GANTRY_ADMIN_PASSWORD", default="")

# TabbyAPI and switching -----------------------------------------------------------------------------------------


def _sandbox_address() -> str:
    """Return the address of the sandbox that `up` started here, or TabbyAPI's usual one."""
    try:
        return (DATA_DIR / "run" / "tabby_host").read_text().strip()
    except OSError:
        return "http://127.0.0.1:5000"


_tabby_host = env.str("TABBY_HOST", default="")
TABBY_SANDBOX = not _tabby_host
SANDBOXES = max(1, min(env.int("SANDBOXES", default=1), 8))  # that `up` starts where TABBY_HOST is not set
TABBY_HOST = (_tabby_host or _sandbox_address()).rstrip("/")
TABBY_ADMIN_KEY = env.str("TABBY_ADMIN_KEY", default="")
TABBY_API_KEY = env.str("TABBY_API_KEY", default="")

SWITCH_TIMEOUT = env.float("SWITCH_TIMEOUT", default=30.0)
SWITCH_MAX_SECONDS = env.float("SWITCH_MAX_SECONDS", default=900.0)
SWITCH_PROBE = env.bool("SWITCH_PROBE", default=True)
CHECK_SECONDS = env.float("CHECK_SECONDS", default=20.0)
DRAIN_TIMEOUT = env.float("DRAIN_TIMEOUT", default=20.0)
REFRESH_INTERVAL = env.float("REFRESH_INTERVAL", default=60.0)
# The folder that holds TabbyAPI's model folders, as this machine sees it: only read. Empty: files are not looked at.
MODELS_DIR = env.str("MODELS_DIR", default="")
GANTRY_VRAM_GB = env.float("GANTRY_VRAM_GB", default=0.0)
KEEP_MODEL = env.str("KEEP_MODEL", default="")
KEEP_MODEL_AFTER = env.float("KEEP_MODEL_AFTER", default=180.0)
REQUEST_DAYS = env.float("REQUEST_DAYS", default=7.0)

# Seconds. A lease, a running switch and a worker each have a heartbeat every second or two. One that is older than this
# belonged to a process that is dead or frozen.
HEARTBEAT_TTL = env.float("HEARTBEAT_TTL", default=8.0)

# Chat -----------------------------------------------------------------------------------------------------------

FIRST_TOKEN_TIMEOUT = env.float("FIRST_TOKEN_TIMEOUT", default=600.0)
REPLY_STALL_TIMEOUT = env.float("REPLY_STALL_TIMEOUT", default=120.0)
REPLY_MAX_CHARS = env.int("REPLY_MAX_CHARS", default=400_000)
MESSAGE_MAX_CHARS = env.int("MESSAGE_MAX_CHARS", default=64_000)
QUEUED_PER_USER = env.int("QUEUED_PER_USER", default=50)
REPLIES_PER_USER = env.int("REPLIES_PER_USER", default=4)
REPLIES_AT_ONCE = env.int("REPLIES_AT_ONCE", default=256)
USAGE_DAYS = env.float("USAGE_DAYS", default=90.0)
FRAMES_PER_SECOND = env.float("FRAMES_PER_SECOND", default=20.0)

# The gateway: programs that use the OpenAI-compatible API -------------------------------------------------------

GATEWAY_CALLS_PER_TOKEN = env.int("GATEWAY_CALLS_PER_TOKEN", default=64)
GATEWAY_REQUESTS_PER_MINUTE = env.int("GATEWAY_REQUESTS_PER_MINUTE", default=600)
GATEWAY_TOKENS_PER_DAY = env.int("GATEWAY_TOKENS_PER_DAY", default=0)
GATEWAY_CALLS_PER_USER = env.int("GATEWAY_CALLS_PER_USER", default=0)
GATEWAY_REQUESTS_PER_MINUTE_PER_USER = env.int("GATEWAY_REQUESTS_PER_MINUTE_PER_USER", default=0)
GATEWAY_TOKENS_PER_DAY_PER_USER = env.int("GATEWAY_TOKENS_PER_DAY_PER_USER", default=0)
GATEWAY_CALLS_AT_ONCE = env.int("GATEWAY_CALLS_AT_ONCE", default=1000)
GATEWAY_MAX_BODY_MB = env.float("GATEWAY_MAX_BODY_MB", default=20.0)
GATEWAY_BODIES_MB = env.float("GATEWAY_BODIES_MB", default=512.0)
GATEWAY_WAIT_SECONDS = env.float("GATEWAY_WAIT_SECONDS", default=600.0)
GATEWAY_QUIET_SECONDS = env.float("GATEWAY_QUIET_SECONDS", default=50.0)
GATEWAY_PLAIN_TIMEOUT = env.float("GATEWAY_PLAIN_TIMEOUT", default=1800.0)
GATEWAY_READER_SECONDS = env.float("GATEWAY_READER_SECONDS", default=60.0)
GATEWAY_CORS_ORIGINS = env.list("GATEWAY_CORS_ORIGINS", default=[])

# Database -------------------------------------------------------------------------------------------------------

DATABASES: dict[str, Any] = {
    "default": env.db_url_config(_database_url or f"sqlite:///{DATA_DIR / 'gantry.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Writers queue for the lock instead of failing half-way through a transaction that began by reading.
    # A file is no server: keeping it open costs nothing, and opening it costs more than most queries.
    DATABASES["default"]["CONN_MAX_AGE"] = None
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
    }
else:
    # Threads come and go under ASGI: connections are pooled, not kept by a thread.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": 12, "timeout": 10}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis, Channels, Celery ----------------------------------------------------------------------------------------

REDIS_SOCKET = DATA_DIR / "redis.sock"
if len(str(REDIS_SOCKET)) > 100:  # the system's limit for a socket's path is 107 bytes
    _name = hashlib.sha256(str(DATA_DIR).encode()).hexdigest()[:16]
    REDIS_SOCKET = Path(tempfile.gettempdir()) / f"gantry-{_name}.sock"
_redis_url = env.str("REDIS_URL", default="")
REDIS_PRIVATE = not _redis_url
REDIS_URL = _redis_url or f"unix://{REDIS_SOCKET}"

# A frozen or vanished Redis must not hold a web process: every wait on it is bounded.
REDIS_WAIT = {"socket_connect_timeout": 3, "socket_timeout": 5}
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "gantry"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # a Redis that refuses to write is no reason to end
# When a task is due follows from beat's start alone: nothing has to be kept on a disk that may be full.
CELERY_BEAT_SCHEDULER = "celery.beat.Scheduler"
CELERY_BROKER_TRANSPORT_OPTIONS = {**REDIS_WAIT, "retry_on_timeout": False, "health_check_interval": 5}
# The database says what is to be done; a task is a nudge. One that cannot be sent at once is not worth waiting for.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BEAT_SCHEDULE = schedule.regular(REFRESH_INTERVAL)

# Django ---------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "gantry_site.admin_config.SiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "models_admin",
    "chat",
    "gateway",
    "gantry_site",
]
MIDDLEWARE = [
    "gantry_site.middleware.security_headers",
    "gantry_site.middleware.traced",
    "gantry_site.middleware.later",
    "gantry_site.probes.Health",
    "gantry_site.probes.Readiness",
    "gantry_site.probes.Metrics",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "gantry_site.sign_in_pages.SignIns",
]
ROOT_URLCONF = "gantry_site.urls"
ASGI_APPLICATION = "gantry_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# How many sign-ins may go wrong from one source, with one name and with any; then a pause (seconds). See sign_in.py.
SIGN_IN_ATTEMPTS = env.int("SIGN_IN_ATTEMPTS", default=5)
SIGN_IN_ATTEMPTS_PER_ADDRESS = env.int("SIGN_IN_ATTEMPTS_PER_ADDRESS", default=50)
SIGN_IN_COOL_OFF = env.float("SIGN_IN_COOL_OFF", default=300.0)
# Addresses and networks of the proxies whose X-Forwarded-For is believed.
TRUSTED_PROXIES = env.list("GANTRY_TRUSTED_PROXIES", default=[])
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "chat"
LOGOUT_REDIRECT_URL = "signed-out"

SESSION_COOKIE_NAME = "session_id"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "gantry_site.refusals.refused_form"
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    # Pages over plain HTTP are redirected. The API is not: scripts on this machine would not follow.
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [rf"^{f'{FORCE_SCRIPT_NAME}/api/'.lstrip('/')}"]
# Whether HSTS covers this host's subdomains, or the preload lists of browsers, is not Gantry's to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER_FILTER = "gantry_site.debug.Filter"
DEFAULT_EXCEPTION_REPORTER = "gantry_site.debug.Reporter"

# Bounds of a request (bytes, and a form's fields). Nothing is uploaded to Gantry.
DATA_UPLOAD_MAX_MEMORY_SIZE = FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 10

STATIC_URL = f"{FORCE_SCRIPT_NAME}/static/"
WHITENOISE_USE_FINDERS = True  # served from the packages: nothing has to be collected before a start
WHITENOISE_MAX_AGE = 60

LANGUAGE_CODE = "en-us"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "gantry_site.formats"

LOG_FORMAT = env.str("LOG_FORMAT", default="text")
# Whoever has this token may read /metrics; where it is not set, programs on this machine may.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "gantry_site.logs.Text",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "datefmt": "%H:%M:%S",
        },
        "json": {"()": "gantry_site.logs.Json"},
    },
    "filters": {"folded": {"()": "gantry_site.log_folding.Folded"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["folded"],
            "formatter": "json" if LOG_FORMAT == "json" else "text",
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.channels.server": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "daphne": {"level": "WARNING"},
        "gantry.access": {"level": "INFO" if LOG_FORMAT == "json" else "WARNING"},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
    },
}
