# On PostgreSQL each term of a message names its owner: see chat/words.py.

from django.db import migrations

from chat import words


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0006_continued_at'),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, editor: words.mark_owners(editor.connection),
            migrations.RunPython.noop,
        ),
    ]
