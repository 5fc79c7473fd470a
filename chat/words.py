"""The words of messages that have ended, as an index in the database: which messages of a person have all of some terms.

A term is a word, whatever its capitals, or one character of a script that has no blanks between its words, or one of any
other kind (a bracket, an emoji). SQLite keeps them in an FTS5 table beside the messages, PostgreSQL in a column of theirs,
there each with its owner in front, so that what others write makes no search longer; triggers keep both current, whoever
writes a message, in the transaction that does so. An open reply is not in it.

The index finds too much rather than too little: whoever asks looks into the messages themselves.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any

from django.apps import apps
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate

from models_admin.downloads import batches

LONGEST = 24  # characters of a term: what is longer is found by its beginning
MOST_TERMS = 10_000  # of one message: its first ones
PART = 2_000  # characters of a text that are looked through at once
MOST_WORDS = 4  # the longest of a search, that the index is asked for
PREFIX = 3  # characters of a term: for beginnings of as many, FTS5 has an index
NEWEST = 2**63 - 1
SELDOM = 8  # a word that less than one of as many messages has, and the index is asked for it
LOOKED_THROUGH = 50  # conversations at once, whose messages are looked through for a word that is not seldom
NEWEST_OF_EACH = 100  # messages
# Thai, Lao, Burmese, Khmer, Japanese, Chinese: each character is a term.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0002ffff"
_TERM = re.compile(rf"[^\W_{UNSPACED}]+|[^\s]")


def parts(text: str) -> Iterator[list[str]]:
    """The terms of a text, in its order, with repeats: as many at once as are found in few characters.

    No other thread runs while a text is looked through: between the parts they may.
    """
    folded, at = text.casefold(), 0
    while at < len(folded):
        end = at + PART
        found = _TERM.findall(folded, at, end)
        at = end
        # What reaches the end may go on behind it. A word as long as all of this is known by its beginning.
        if end < len(folded) and len(found) > 1 and not folded[end - 1].isspace():
            at -= len(found.pop())
        yield [each[:LONGEST] for each in found]


def terms(text: str) -> list[str]:
    """The terms of a text, in its order, with repeats."""
    return [each for part in parts(text) for each in part]


def matching(owner: int, words: Iterable[str], most: int) -> list[int]:
    """Return the newest messages of this person, `most` at most, that may have all the words, or longer ones."""
    wanted = _wanted(words)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            return _in_fts(cursor, owner, [part for word in wanted for part in _fts_terms(terms(word))], most)
        # Materialized, so that it is the index that is asked, and not one message after the other from the newest on.
        cursor.execute(
            "WITH found AS MATERIALIZED (SELECT id FROM chat_message WHERE words @@ %s::tsquery) "
            "SELECT id FROM found ORDER BY id DESC LIMIT %s",
            [_ts_query(cursor, owner, wanted), most],
        )
        return [pk for (pk,) in cursor.fetchall()]


def often(
    owner: int, words: Iterable[str], latest: Iterable[uuid.UUID], most: int
) -> Generator[list[tuple[int, uuid.UUID]], None, bool]:
    """Yield messages that may have all the words, with their conversations, for as long as one in SELDOM has.

    `latest` are the person's conversations. Return whether `matching` may find more. PostgreSQL's index gives all messages
    that have a word before it gives the newest: for a frequent word that takes longer than to look through these. FTS5
    gives the newest first.
    """
    if connection.vendor == "sqlite":
        return True
    looked, found, cut = 0, 0, False
    with connection.cursor() as cursor:
        query = _ts_query(cursor, owner, _wanted(words))
        for some in batches(latest, LOOKED_THROUGH):
            cursor.execute(_LOOK_THROUGH, [query, list(some), NEWEST_OF_EACH])
            rows = cursor.fetchall()
            yield [(pk, where) for where, _, having in rows for pk in having or ()]
            looked += sum(count for _, count, _ in rows)
            found += sum(len(having or ()) for _, _, having in rows)
            cut = cut or any(count == NEWEST_OF_EACH and not having for _, count, having in rows)
            if found >= most:
                return False
            if found * SELDOM < looked:
                return True
    return cut


_LOOK_THROUGH = """
  SELECT c.id, count(*), array_agg(m.id ORDER BY m.id DESC) FILTER (WHERE m.words @@ %s::tsquery)
  FROM unnest(%s::uuid[]) c(id) CROSS JOIN LATERAL (
    SELECT id, words FROM chat_message WHERE conversation_id = c.id ORDER BY id DESC LIMIT %s
  ) m GROUP BY c.id"""


def _wanted(words: Iterable[str]) -> list[str]:
    return sorted(set(words), key=len, reverse=True)[:MOST_WORDS]


def _in_fts(cursor: Any, owner: int, asked: list[str], most: int) -> list[int]:
    """Return the newest rows that have all that is asked for, each a quoted term, with a star if it is a beginning."""
    mine = f'"_o{owner}"'
    long = [each for each in asked if each.endswith("*") and len(each) > len('""*') + PREFIX]
    found, upto = _by_first_characters(cursor, mine, asked, long, most) if long else ([], NEWEST)
    if upto and len(found) < most:
        cursor.execute(
            "SELECT rowid FROM chat_words WHERE chat_words MATCH %s AND rowid <= %s ORDER BY rowid DESC LIMIT %s",
            [" ".join([mine, *asked]), upto, most - len(found)],
        )
        found += [pk for (pk,) in cursor.fetchall()]
    return found


def _by_first_characters(
    cursor: Any, mine: str, asked: list[str], long: list[str], most: int
) -> tuple[list[int], int]:
    """Return the newest rows, and the newest one that was not looked into, or 0.

    FTS5 reads the rows of a short beginning from the newest on. For a `long` one it puts all rows of everybody together
    first. So the long ones are asked for by their first characters, for as long as what has these often has the rest.
    """
    rest = [f" {each[1:-2]}" for each in long]
    short = [f'{each[: PREFIX + 1]}"*' if each in long else each for each in asked]
    cursor.execute(
        "SELECT rowid, terms FROM chat_words WHERE chat_words MATCH %s ORDER BY rowid DESC",
        [" ".join([mine, *short])],
    )
    found: list[int] = []
    for looked_into, (pk, had) in enumerate(iter(cursor.fetchone, None)):
        if len(found) == most or looked_into > SELDOM * (len(found) + 200):
            return found, pk
        if all(each in f" {had}" for each in rest):
            found.append(pk)
    return found, 0


def _is_word(term: str) -> bool:
    return term[-1].isalnum()


def _fts_terms(found: list[str]) -> list[str]:
    *inner, last = found or [""]
    if not last:
        return []
    return [
        *(f'"{_spelled(each)}"' for each in inner),
        f'"{_spelled(last)}"' + ("*" if _is_word(last) else ""),
    ]


def _ts_query(cursor: Any, owner: int, wanted: Iterable[str]) -> str:
    """The query for what the column has of a message of this person with all these words, each term with its owner."""
    asked: list[str] = []
    for word in wanted:
        cursor.execute("SELECT gantry_terms(%s)", [word])
        found = [each.replace("\\", "\\\\").replace("'", "''") for each in cursor.fetchone()[0]]
        asked += [f"'{owner}/{each}'" for each in found]
        if found and _is_word(found[-1]):
            asked[-1] += ":*"
    return " & ".join(asked) or f"'{owner}/':*"


def _spelled(term: str) -> str:
    """A term as FTS5's `ascii` tokenizer takes it for one: it knows ASCII's letters and digits, and all beyond ASCII."""
    return f"_{ord(term):x}" if term.isascii() and not term.isalnum() else term


def row(text: str | None) -> str:
    """What the FTS5 table is given of a text: its first terms."""
    found: dict[str, None] = {}
    for part in parts(text or ""):
        found.update(dict.fromkeys(part))
        if len(found) >= MOST_TERMS:
            break
    return " ".join(map(_spelled, islice(found, MOST_TERMS)))


# In SQLite ------------------------------------------------------------------------------------------------------

# The owner's mark, "_o" and a number, begins like no word, and no spelling of a term has an "o" behind its "_".
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
    """Make the index of all messages that there are, in the database `to`."""
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
    """Put their owner in front of PostgreSQL's terms: in an older database it was a term by itself."""
    if to.vendor == "postgresql":
        with to.cursor() as cursor:
            cursor.execute(_functions(cursor))
            cursor.execute("DROP INDEX chat_message_words; DROP TRIGGER chat_words_changed ON chat_message")
            cursor.execute(_MARK_OWNERS)
            cursor.execute(_INDEX)
            cursor.execute(_TRIGGER)


def drop(to: BaseDatabaseWrapper) -> None:
    """Take the index away again."""
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
    """The functions, with a collation that knows the capitals of all languages, where PostgreSQL was built with it."""
    cursor.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'")
    collation = '"und-x-icu"' if cursor.fetchone() else '"default"'
    return _FUNCTIONS.format(collation=collation, longest=LONGEST, most=MOST_TERMS, unspaced=UNSPACED)


def drop_triggers(cursor: Any) -> None:
    """Have SQLite keep the index no longer, until make_triggers."""
    for name in _TRIGGERS:
        cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


# When SQLite changes a table, it makes another one and drops the old one with its triggers, and it refuses where a trigger
# elsewhere names that table. So they are gone while migrations run.


def _before_migrations(*, using: str, plan: list[Any], **_: Any) -> None:
    if plan and connections[using].vendor == "sqlite":
        with connections[using].cursor() as cursor:
            drop_triggers(cursor)


def make_triggers(to: BaseDatabaseWrapper) -> None:
    """Have SQLite keep the index from now on, where there is one."""
    if "chat_words" in to.introspection.table_names():
        with to.cursor() as cursor:
            for name, what in _TRIGGERS.items():
                cursor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {what}")


def _after_migrations(*, using: str, **_: Any) -> None:
    if connections[using].vendor == "sqlite":
        make_triggers(connections[using])


def _connected(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("gantry_terms", 1, row, deterministic=True)


def start() -> None:
    """Have each connection know the function that the triggers call, and the triggers made after migrations."""
    connection_created.connect(_connected, dispatch_uid="chat.words")
    pre_migrate.connect(_before_migrations, sender=apps.get_app_config("chat"), dispatch_uid="chat.words")
    post_migrate.connect(_after_migrations, sender=apps.get_app_config("chat"), dispatch_uid="chat.words")
