from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="ReductionRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_number", models.IntegerField(unique=True)),
                ("state", models.CharField(max_length=16, default="queued")),
                ("attempts", models.IntegerField(default=0)),
                ("result", models.TextField(default="")),
            ],
        ),
    ]
