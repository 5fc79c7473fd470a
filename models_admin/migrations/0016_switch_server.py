import django.db.models.deletion
from django.db import migrations, models

# The one that there was before.
FIRST = 1


def have_the_server(apps, schema_editor):
    """A row that was not there yet, if anything is to belong to it."""
    using = schema_editor.connection.alias
    if any(apps.get_model('models_admin', each).objects.using(using).exists() for each in ('Switch', 'Lease')):
        apps.get_model('models_admin', 'Server').objects.using(using).get_or_create(pk=FIRST)


def to_server(on_delete, name):
    return models.ForeignKey(
        db_index=False, default=FIRST, editable=name != 'switches', on_delete=on_delete, related_name=name,
        to='models_admin.server',
    )


class Migration(migrations.Migration):

    dependencies = [
        ('models_admin', '0015_server'),
    ]

    operations = [
        migrations.RunPython(have_the_server, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name='switch', name='at_most_one_active_switch'),
        migrations.AddField(
            model_name='switch',
            name='server',
            field=to_server(django.db.models.deletion.PROTECT, 'switches'),
            preserve_default=False,
        ),
        migrations.RemoveField(model_name='switch', name='slot'),
        migrations.AddField(
            model_name='lease',
            name='server',
            field=to_server(django.db.models.deletion.CASCADE, 'leases'),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name='switch',
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ('state__in', ('queued', 'draining', 'unloading', 'loading', 'verifying', 'rolling_back'))
                ),
                fields=('server',),
                name='at_most_one_active_switch',
            ),
        ),
    ]
