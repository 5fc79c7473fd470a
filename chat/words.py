"""The words of messages that have ended: what they are, and which messages of a person have all of some.

A term is a word, whatever its capitals, or one character of a script that has no blanks between its words, or one of any
other kind (a bracket, an emoji). word_index.py keeps them in the database. The index finds too much rather than too little:
whoever asks looks into the messages themselves.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import connection

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
