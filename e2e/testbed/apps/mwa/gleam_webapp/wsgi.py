"""What gunicorn runs."""
import os
from contextlib import suppress

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gleam_webapp.settings")
application = get_wsgi_application()

# A process that starts anew is whole again.
from candidates.views import BROKEN  # noqa: E402: after Django

with suppress(FileNotFoundError):
    os.remove(BROKEN)
