from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Candidate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80, unique=True)),
                ("ra", models.FloatField()),
                ("dec", models.FloatField()),
            ],
        ),
        migrations.RunSQL("create index candidate_q3c on candidates_candidate (q3c_ang2ipix(ra, dec))"),
        migrations.RunSQL(
            "insert into candidates_candidate (name, ra, dec) values ('vela', 128.8, -45.2), ('crab', 83.6, 22.0)"
        ),
    ]
