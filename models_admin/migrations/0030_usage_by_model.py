from django.db import migrations, models
from django.db.models import Q

NUMBERS = ("taken_over", *(f"{name}_{number}" for name in ("first", "rate", "context") for number in range(12)))
KEY = ["day", "person", "name", "token", "model", "kind", "outcome", "reason"]


def _column(name: str, kind: str, default: str, field: models.Field) -> migrations.SeparateDatabaseAndState:
    """Add a column without SQLite's copy of the whole table, which Django makes for each of them."""
    add = f"ALTER TABLE models_admin_usage ADD COLUMN {name} {kind} DEFAULT {default} NOT NULL"
    drop = f"ALTER TABLE models_admin_usage DROP COLUMN {name}"
    return migrations.SeparateDatabaseAndState(
        [migrations.RunSQL(add, drop)], [migrations.AddField("usage", name, field)]
    )


class Migration(migrations.Migration):

    dependencies = [("models_admin", "0029_rule_handled")]

    operations = [
        _column("reason", "varchar(32)", "''", models.CharField(blank=True, db_default="", max_length=32)),
        *(_column(name, "bigint", "0", models.BigIntegerField(db_default=0)) for name in NUMBERS),
        migrations.RemoveConstraint("usage", "one_usage_sum"),
        migrations.AddConstraint(
            "usage",
            models.UniqueConstraint(fields=KEY, condition=Q(at__isnull=True), name="one_usage_sum"),
        ),
        migrations.AddIndex(
            "usage",
            models.Index(fields=["model", "day"], condition=Q(at__isnull=True), name="usage_by_model"),
        ),
    ]
