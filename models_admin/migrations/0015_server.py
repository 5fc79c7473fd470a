from django.db import migrations

ACTIONS = ("add", "change", "delete", "view")


def name_permissions(old, new):
    def change(apps, schema_editor):
        known = apps.get_model("auth", "Permission").objects.using(schema_editor.connection.alias)
        for action in ACTIONS:
            # On a new database 0003 has already made those of the model as it is called now.
            known.filter(content_type__app_label="models_admin", codename=f"{action}_{old}").update(
                codename=f"{action}_{new}"
            )

    return change


class Migration(migrations.Migration):

    dependencies = [
        ('models_admin', '0014_load_succeeded'),
    ]

    operations = [
        migrations.RenameModel(old_name='Backend', new_name='Server'),
        migrations.AlterModelOptions(
            name='server',
            options={'verbose_name': 'backend', 'verbose_name_plural': 'backend'},
        ),
        migrations.RunPython(name_permissions('backend', 'server'), name_permissions('server', 'backend')),
    ]
