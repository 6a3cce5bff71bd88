"""What goes bad."""
import os

from django.http import HttpResponse

from .views import BROKEN


def health(get_response):
    """No page answers well while the file is there."""

    def answer(request):
        if os.path.exists(BROKEN) and request.path == "/accounts/login/":
            return HttpResponse("out of order", status=500)
        return get_response(request)

    return answer
