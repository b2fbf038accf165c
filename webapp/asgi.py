"""The web process: uvicorn serves this."""

import os

from django.core.asgi import get_asgi_application

from webapp.limits import bounded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
os.environ.setdefault("DATABASE_POOL", "on")
application = bounded(get_asgi_application())
