# The words of messages, as an index: see chat/word_index.py.

from django.db import migrations

from chat import word_index


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0004_message_revivals'),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, editor: word_index.create(editor.connection),
            lambda apps, editor: word_index.drop(editor.connection),
        ),
    ]
