"""Runs of instruments, and what became of them."""
from django.db import models


class ReductionRun(models.Model):
    QUEUED, PROCESSING, COMPLETED, FAILED = "queued", "processing", "completed", "failed"
    run_number = models.IntegerField(unique=True)
    state = models.CharField(max_length=16, default=QUEUED)
    # How often somebody began with it.
    attempts = models.IntegerField(default=0)
    # The reduced counts, as JSON.
    result = models.TextField(default="")
