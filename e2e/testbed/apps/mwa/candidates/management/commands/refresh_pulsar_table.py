"""The catalogue of pulsars, which their service refreshes once a week; this one knows a single pulsar."""
from django.core.management.base import BaseCommand

from candidates.models import Candidate


class Command(BaseCommand):
    def handle(self, *args, **options):
        Candidate.objects.update_or_create(name="J0437-4715", defaults={"ra": 69.3, "dec": -47.2})
        self.stdout.write("1 pulsar")
