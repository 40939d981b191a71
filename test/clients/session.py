"""What the scripts share: the client, what was checked, and which of its public methods a script has called."""

import asyncio
import functools
import inspect
import os
import sys
import uuid

import onceonly
from onceonly.ai import AiClient
from onceonly.governance import GovernanceClient

base_url, key, tool_url, secret, failing_url = sys.argv[1:6]
here = os.path.dirname(os.path.abspath(__file__))
tag = uuid.uuid4().hex[:10]
checked = 0
called = set()

EXCLUDED = {
    "integrations.langchain.make_idempotent_tool": "needs LangChain, which is not installed; it calls check_lock only",
}


def check(name, holds, seen=None):
    global checked
    if not holds:
        raise SystemExit(f"{name}: {seen!r}")
    checked += 1


def raises(error, call, **expected):
    """The error's fields, where a dict needs only to hold what is expected."""
    try:
        call()
    except error as caught:
        return all(matches(getattr(caught, field, None), value) for field, value in expected.items())
    return False


def matches(seen, expected):
    if isinstance(expected, dict):
        return isinstance(seen, dict) and all(seen.get(name) == value for name, value in expected.items())
    return seen == expected


def watched(name, call):
    """Notes calls by the scripts themselves; what the client calls by itself is not exercised by that."""

    @functools.wraps(call)
    def watching(*args, **kwargs):
        if os.path.dirname(os.path.abspath(sys._getframe(1).f_code.co_filename)) == here:
            called.add(name)
        return call(*args, **kwargs)

    return watching


def watch():
    """Every public method and function of the package, each watched from now on."""
    names = set(EXCLUDED)
    for owner, label in ((onceonly.OnceOnly, "client"), (AiClient, "ai"), (GovernanceClient, "gov")):
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_"):
                names.add(f"{label}.{name}")
                setattr(owner, name, watched(f"{label}.{name}", method))
    for name in onceonly.__all__:
        function = getattr(onceonly, name)
        if inspect.isfunction(function):
            names.add(name)
            setattr(onceonly, name, watched(name, function))
    return names


public = watch()
client = onceonly.create_client(api_key=key, base_url=base_url, fail_open=False, timeout=20.0)


def register(name, url=tool_url, **fields):
    auth = {"type": "hmac_sha256", "secret": secret}
    return client.gov.create_tool({"name": name, "url": url, "auth": auth, **fields})


def finish():
    missed = sorted(public - called - set(EXCLUDED))
    check("public methods without a check", not missed, missed)
    print(f"{checked} checks hold for {len(called)} public methods and functions")


async def swallowing_its_own_cancel(call):
    """3.0.5 cancels its heartbeat and then awaits it, so run_fn_async ends with that CancelledError after all is done."""
    try:
        return await call
    except asyncio.CancelledError:
        return None
