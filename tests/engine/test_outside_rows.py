"""What TabbyAPI may put into a reply's events, both databases take."""

from __future__ import annotations

import json
import math
import uuid

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.servers import SERVER

from chat import claims, progress, replies, wire
from chat.models import Conversation, Message, Status
from chat.progress import ReplyProgress
from models_admin.servers import state_row
from models_admin.tabby.access import Access
from models_admin.tabby.reply import ReplyReader

pytestmark = pytest.mark.django_db
odd = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(odd, odd, st.text(), odd)
@example("s" * 40, 1e308, "word", -1)
@example("stop\x00", math.nan, "half a \ud83d pair\x00", 10**400)
def test_any_end_of_a_reply_is_written(
    monkeypatch: pytest.MonkeyPatch, reason: object, seconds: object, text: str, tokens: object
) -> None:
    monkeypatch.setattr("models_admin.events.send", lambda *args, **facts: None)
    row = state_row.row(SERVER)
    row.model, row.seen_at = "usual", timezone.now()
    row.save()
    owner, _ = User.objects.get_or_create(username="mara")
    replies.send(Conversation.objects.create(owner=owner).pk, uuid.uuid4(), "Hello")
    Message.objects.filter(status=Status.QUEUED).update(origin="one")
    (work,) = claims.claim("one", 1)
    usage = {"total_time": seconds, "prompt_tokens": tokens, "completion_tokens_per_sec": seconds}
    event = {"choices": [{"delta": {"content": text}, "finish_reason": reason}], "usage": usage}
    reader = ReplyReader(Access("http://tabby"))
    delta = reader.read([json.dumps(event).encode()])
    assert delta is not None
    grown = ReplyProgress(delta.text, delta.reasoning, finish_reason=delta.finish_reason or "")
    grown.usage = delta.usage.as_dict() if delta.usage else None
    progress.save([(work, grown)])
    assert progress.end(work, Status.COMPLETE, grown)
    (told,) = wire.messages([work.message])
    assert told["text"] == delta.text
    assert told["usage"] == grown.usage
