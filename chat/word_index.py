"""The index of words in messages that have ended.

SQLite keeps it in an FTS5 table beside the messages, PostgreSQL in a column of theirs. There each term has its owner in
front, so that other people's messages make no search longer. Triggers keep both current, in the transaction that writes a
message.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate

from chat.words import LONGEST, MOST_TERMS, UNSPACED, index_terms

# In SQLite ------------------------------------------------------------------------------------------------------

# A row has its owner's mark, "_o" and a number: no word begins with "_", and no spelling of a term has an "o" behind it.
_FTS = """CREATE VIRTUAL TABLE chat_words
  USING fts5(terms, tokenize="ascii tokenchars '_'", prefix='1 2 3', detail=none, columnsize=0)"""
_PUT = """INSERT INTO chat_words(rowid, terms) SELECT NEW.id, gantry_terms(NEW.text) || ' _o' || owner_id
  FROM chat_conversation WHERE id = NEW.conversation_id AND NEW.status NOT IN ('queued', 'streaming');"""
_TAKE = "DELETE FROM chat_words WHERE rowid = OLD.id;"
_TRIGGERS = {
    "chat_words_new": f"AFTER INSERT ON chat_message WHEN NEW.status NOT IN ('queued', 'streaming') BEGIN {_PUT} END",
    "chat_words_changed": "AFTER UPDATE OF text, status ON chat_message WHEN OLD.status NOT IN ('queued', 'streaming') "
    f"OR NEW.status NOT IN ('queued', 'streaming') BEGIN {_TAKE} {_PUT} END",
    "chat_words_gone": f"AFTER DELETE ON chat_message BEGIN {_TAKE} END",
}
_FILL = """INSERT INTO chat_words(rowid, terms) SELECT m.id, gantry_terms(m.text) || ' _o' || c.owner_id
  FROM chat_message m CROSS JOIN chat_conversation c ON c.id = m.conversation_id
  WHERE m.status NOT IN ('queued', 'streaming') ORDER BY m.id"""

# In PostgreSQL --------------------------------------------------------------------------------------------------

_FUNCTIONS = """
CREATE OR REPLACE FUNCTION gantry_terms(given text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(left(m[1], {longest})), '{{}}')
  FROM regexp_matches(upper(given COLLATE {collation}) COLLATE {collation}, '([^\\W_{unspaced}]+|[^\\s])', 'g') m
$$;
CREATE OR REPLACE FUNCTION gantry_first(terms text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ARRAY(SELECT term FROM unnest(terms) WITH ORDINALITY AS of_all(term, place)
    GROUP BY term ORDER BY min(place) LIMIT {most})
$$;
CREATE OR REPLACE FUNCTION gantry_owned(terms text[], owner bigint) RETURNS tsvector LANGUAGE sql IMMUTABLE
PARALLEL SAFE AS $$
  SELECT array_to_tsvector(ARRAY(SELECT owner || '/' || term FROM unnest(terms) of_all(term)))
$$;
CREATE OR REPLACE FUNCTION gantry_index_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status IN ('queued', 'streaming') THEN
    NEW.words := NULL;
  ELSIF TG_OP = 'INSERT' OR NEW.words IS NULL OR NEW.text IS DISTINCT FROM OLD.text THEN
    NEW.words := gantry_owned(gantry_first(gantry_terms(NEW.text)),
      (SELECT owner_id FROM chat_conversation WHERE id = NEW.conversation_id));
  END IF;
  RETURN NEW;
END $$;
"""
_TRIGGER = """
DROP TRIGGER IF EXISTS chat_words_changed ON chat_message;
CREATE TRIGGER chat_words_changed BEFORE INSERT OR UPDATE OF text, status ON chat_message
  FOR EACH ROW EXECUTE FUNCTION gantry_index_words();
"""
_FILL_COLUMN = """UPDATE chat_message m SET words = gantry_owned(gantry_first(gantry_terms(m.text)), c.owner_id)
  FROM chat_conversation c WHERE c.id = m.conversation_id AND m.status NOT IN ('queued', 'streaming')"""

_MARK_OWNERS = """UPDATE chat_message m
  SET words = gantry_owned(array_remove(tsvector_to_array(m.words), '@' || c.owner_id), c.owner_id)
  FROM chat_conversation c WHERE c.id = m.conversation_id AND '@' || c.owner_id = ANY (tsvector_to_array(m.words))"""
_INDEX = "CREATE INDEX chat_message_words ON chat_message USING gin (words)"


def create(to: BaseDatabaseWrapper) -> None:
    """Make the index in the database `to`, and fill it with all messages that have ended."""
    with to.cursor() as cursor:
        if to.vendor == "sqlite":
            cursor.execute(_FTS)
            cursor.execute(_FILL)
        else:
            cursor.execute(_functions(cursor))
            cursor.execute("ALTER TABLE chat_message ADD COLUMN words tsvector")
            cursor.execute(_FILL_COLUMN)
            cursor.execute(_INDEX)
            cursor.execute(_TRIGGER)


def mark_owners(to: BaseDatabaseWrapper) -> None:
    """Put the owner in front of each of PostgreSQL's terms: in an older database the owner was a term of its own."""
    if to.vendor == "postgresql":
        with to.cursor() as cursor:
            cursor.execute(_functions(cursor))
            cursor.execute("DROP INDEX chat_message_words; DROP TRIGGER chat_words_changed ON chat_message")
            cursor.execute(_MARK_OWNERS)
            cursor.execute(_INDEX)
            cursor.execute(_TRIGGER)


def drop(to: BaseDatabaseWrapper) -> None:
    """Remove the index from the database `to`."""
    with to.cursor() as cursor:
        if to.vendor == "sqlite":
            drop_triggers(cursor)
            cursor.execute("DROP TABLE chat_words")
        else:
            cursor.execute(
                "DROP TRIGGER chat_words_changed ON chat_message; DROP FUNCTION gantry_index_words()"
            )
            cursor.execute(
                "ALTER TABLE chat_message DROP COLUMN words; "
                "DROP FUNCTION gantry_terms(text), gantry_first(text[]), gantry_owned(text[], bigint)"
            )


def _functions(cursor: Any) -> str:
    """Return the SQL of the functions, with the ICU collation, which knows the case of all languages, if it is there."""
    cursor.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'")
    collation = '"und-x-icu"' if cursor.fetchone() else '"default"'
    return _FUNCTIONS.format(collation=collation, longest=LONGEST, most=MOST_TERMS, unspaced=UNSPACED)


def drop_triggers(cursor: Any) -> None:
    """Drop SQLite's triggers: the index is not kept current until make_triggers()."""
    for name in _TRIGGERS:
        cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


# To change a table, SQLite makes another one and drops the old one with its triggers, and it refuses where a trigger of
# another table names it. So the triggers are dropped while migrations run.


def _before_migrations(*, using: str, plan: list[Any], **_: Any) -> None:
    if plan and connections[using].vendor == "sqlite":
        with connections[using].cursor() as cursor:
            drop_triggers(cursor)


def make_triggers(to: BaseDatabaseWrapper) -> None:
    """Make SQLite's triggers, which keep the index current, where there is an index."""
    if "chat_words" in to.introspection.table_names():
        with to.cursor() as cursor:
            for name, what in _TRIGGERS.items():
                cursor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {what}")


def _after_migrations(*, using: str, **_: Any) -> None:
    if connections[using].vendor == "sqlite":
        make_triggers(connections[using])


def _connected(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("gantry_terms", 1, index_terms, deterministic=True)


def start() -> None:
    """Give each connection the function that the triggers call, and make the triggers after migrations."""
    connection_created.connect(_connected, dispatch_uid="chat.word_index")
    pre_migrate.connect(
        _before_migrations, sender=apps.get_app_config("chat"), dispatch_uid="chat.word_index"
    )
    post_migrate.connect(
        _after_migrations, sender=apps.get_app_config("chat"), dispatch_uid="chat.word_index"
    )
