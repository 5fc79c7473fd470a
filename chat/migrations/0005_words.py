# The words of messages, as an index: see chat/words.py.

from django.db import migrations

from chat import words


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0004_message_revivals'),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, editor: words.create(editor.connection),
            lambda apps, editor: words.drop(editor.connection),
        ),
    ]
