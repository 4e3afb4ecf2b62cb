"""What an OpenAPI document cannot say of a valid request."""

import itertools
import json
import os
import threading
import time
import urllib.request
import uuid

import schemathesis
from schemathesis import GenerationMode

STORE = os.environ["LOG_AGENT_URL"]


def store(message):
    """Puts an entry into the store and returns its id."""
    entry = {
        "id": str(uuid.uuid4()),
        "time": "2026-11-25T12:00:00Z",
        "level": "info",
        "message": message,
        "source": "schemathesis",
    }
    request = urllib.request.Request(
        f"{STORE}/log",
        data=json.dumps(entry).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
    return entry["id"]


def store_on():
    """Entries for the readers of the stream, who would wait for one."""
    for number in itertools.count():
        store(f"entry {number}")
        time.sleep(0.1)


PLACE = store("a place to go on from")
threading.Thread(target=store_on, daemon=True).start()


def shorten(body):
    """Texts are bounded in bytes, and a body in bytes of JSON; a schema bounds characters."""
    for entry in body if isinstance(body, list) else [body]:
        if not isinstance(entry, dict):
            continue
        while len(json.dumps(entry.get("message"))) > 60_000:
            entry["message"] = entry["message"][: len(entry["message"]) // 2]
        while len(str(entry.get("source")).encode()) > 253:
            entry["source"] = entry["source"][:-1]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Of a request that is to be accepted: what follows from what the store holds, or from another parameter."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    query, headers = case.query or {}, case.headers or {}
    shorten(case.body)
    # A place is one that the store has named.
    if "after" in query:
        query["after"] = PLACE
    if "last-event-id" in headers:
        headers["last-event-id"] = PLACE
    # An id goes with no other condition.
    if "id" in query:
        for other in ("after", "level", "q"):
            query.pop(other, None)
    # A key names one entry.
    if "idempotency-key" in headers:
        headers["idempotency-key"] = str(uuid.uuid4())
