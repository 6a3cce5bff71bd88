"""A source in the sky."""
from django.db import models


class Candidate(models.Model):
    name = models.CharField(max_length=80, unique=True)
    ra = models.FloatField()
    dec = models.FloatField()
