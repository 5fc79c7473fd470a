# On PostgreSQL each term of a message names its owner: see chat/word_index.py.

from django.db import migrations

from chat import word_index


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0006_continued_at'),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, editor: word_index.mark_owners(editor.connection),
            migrations.RunPython.noop,
        ),
    ]
