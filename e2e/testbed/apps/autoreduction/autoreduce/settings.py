"""Everything that differs between places comes from the environment."""
import os

# Programs that are no web server sign nothing.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "no web server")
DEBUG = False
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "").split()
INSTALLED_APPS = ["reduction_viewer", "django.contrib.staticfiles"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "autoreduce.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.mysql",
        "HOST": os.environ.get("DATABASE_HOST", ""),
        "PORT": os.environ.get("DATABASE_PORT", ""),
        "NAME": os.environ.get("DATABASE_NAME", ""),
        "USER": os.environ.get("DATABASE_USERNAME", ""),
        "PASSWORD": os.environ.get("DATABASE_PASSWORD", ""),
    }
}
STATIC_URL = "/static/"
STATIC_ROOT = "/var/www/api"
# Where the front serves plots from, as they appear.
GRAPHS = os.path.join(STATIC_ROOT, "graphs")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
