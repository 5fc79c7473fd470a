"""The group that whoever runs the models can be put into. A migration makes it, and not each start of Gantry, so that what
an administrator changes of it stays changed, be it that the group is renamed or deleted."""

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUP = "Model operators"
PERMISSIONS = ("switch", "unload", "manage", "view_tabbymodel", "view_switch")


def make(apps, schema_editor):
    using = schema_editor.connection.alias
    # Django makes permissions only after the last migration.
    create_permissions(installed.get_app_config("models_admin"), verbosity=0, using=using)
    group, new = apps.get_model("auth", "Group").objects.using(using).get_or_create(name=GROUP)
    if new:
        known = apps.get_model("auth", "Permission").objects.using(using)
        group.permissions.set(
            known.filter(content_type__app_label="models_admin", codename__in=PERMISSIONS)
        )


class Migration(migrations.Migration):

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("models_admin", "0002_rules"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
