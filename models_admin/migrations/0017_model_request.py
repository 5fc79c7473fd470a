import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('models_admin', '0016_switch_server'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameModel(old_name='Wish', new_name='ModelRequest'),
        migrations.AlterField(
            model_name='modelrequest',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='model_requests', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RenameIndex(
            model_name='modelrequest',
            new_name='models_admi_changed_e454c4_idx',
            old_name='models_admi_changed_7fe844_idx',
        ),
        migrations.RenameIndex(
            model_name='modelrequest',
            new_name='models_admi_state_aef67d_idx',
            old_name='models_admi_state_e23a2b_idx',
        ),
        migrations.RenameIndex(
            model_name='modelrequest',
            new_name='requests_by_end',
            old_name='wishes_by_end',
        ),
        migrations.RemoveConstraint(
            model_name='modelrequest',
            name='one_open_wish_per_user_and_model',
        ),
        migrations.AddConstraint(
            model_name='modelrequest',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('user', 'target'), name='one_open_request_per_user_and_model'),
        ),
    ]
