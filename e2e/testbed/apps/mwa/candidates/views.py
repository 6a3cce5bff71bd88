"""Pages."""
import os

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

# A worker of this process that has been told so answers its login page no more.
BROKEN = "/tmp/broken"


@login_required
def index(request):
    return HttpResponse(f"signed in as {request.user.username}")


def near(request):
    """The candidates within so many degrees of a place, by the index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select name from candidates_candidate where q3c_radial_query(ra, dec, %s, %s, %s) order by name",
            [float(request.GET["ra"]), float(request.GET["dec"]), float(request.GET["radius"])],
        )
        return JsonResponse({"names": [row[0] for row in cursor], "commit": os.environ.get("DROVER_COMMIT", "")})


@csrf_exempt
def fail(request):
    """Its health goes bad, as a program's does that runs out of something."""
    open(BROKEN, "w", encoding="utf-8").close()
    return HttpResponse("broken")
