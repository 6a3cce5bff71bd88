"""Pages."""
import json
import os

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.templatetags.static import static

from reduction_viewer.models import ReductionRun


def index(request):
    """All runs, one to a line."""
    style = static("reduction_viewer/site.css")
    rows = "\n".join(
        f'<li><a href="/runs/{run.run_number}/">run {run.run_number}</a> {run.state}, attempts {run.attempts}</li>'
        for run in ReductionRun.objects.order_by("run_number")
    )
    return HttpResponse(f'<link rel="stylesheet" href="{style}"><h1>Runs</h1><ul>\n{rows}\n</ul>')


def run(request, number):
    """One run with its plot, which is drawn when somebody first looks at it."""
    found = get_object_or_404(ReductionRun, run_number=number)
    if found.state != ReductionRun.COMPLETED:
        return HttpResponse(f"run {number} is {found.state}")
    name = f"{number}.svg"
    plot = os.path.join(settings.GRAPHS, name)
    if not os.path.exists(plot):
        counts = json.loads(found.result)
        highest = max(counts) or 1
        bars = "".join(
            f'<rect x="{10 * n}" y="{100 - 100 * c / highest:.0f}" width="9" height="{100 * c / highest:.0f}"/>' for n, c in enumerate(counts)
        )
        with open(plot + ".part", "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {10 * len(counts)} 100">{bars}</svg>\n')
        os.rename(plot + ".part", plot)
    return HttpResponse(f'<h1>run {number}</h1><p>{found.result}</p><img src="{static("graphs/" + name)}">')
