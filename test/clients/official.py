"""The official client against a running server: python official.py BASE_URL KEY TOOL_URL SECRET."""

import asyncio
import datetime
import sys
import uuid

from onceonly import OnceOnly
from onceonly.exceptions import ApiError, UnauthorizedError, ValidationError

base_url, key, tool_url, secret = sys.argv[1:5]
client = OnceOnly(api_key=key, base_url=base_url, fail_open=False, timeout=20.0)
tag = uuid.uuid4().hex[:10]
checked = 0


def check(name, holds, seen):
    global checked
    if not holds:
        raise SystemExit(f"{name}: {seen!r}")
    checked += 1


def raises(error, call, **expected):
    try:
        call()
    except error as caught:
        return all(getattr(caught, field, None) == value for field, value in expected.items())
    return False


def check_lock():
    first = client.check_lock(f"lock-{tag}", ttl=60, meta={"a": 1}, request_id="req-1")
    again = client.check_lock(f"lock-{tag}", ttl=60)
    check("locked", first.locked and not first.duplicate and first.should_proceed(), first)
    check("request id", first.request_id == "req-1", first)
    check("duplicate", again.is_duplicate() and again.first_seen_at, again)
    check("refused", raises(ValidationError, lambda: client.check_lock("", ttl=60)), None)
    stranger = OnceOnly(api_key="once_live_nobody_nobody_nobody", base_url=base_url, fail_open=False)
    check("unauthorized", raises(UnauthorizedError, lambda: stranger.check_lock("k")), None)


def leases():
    name = f"lease-{tag}"
    lease = client.ai.lease(name, ttl=60, metadata={"kind": "test"})
    check("acquired", lease["status"] == "acquired" and lease["charged"] == 1, lease)
    other = client.ai.lease(name, ttl=60)
    check("polling", other["status"] == "polling" and other["lease_id"] is None, other)
    extended = client.ai.extend(name, lease["lease_id"], ttl=120)
    check("extended", extended["status"] == "extended" and extended["version"] == 2, extended)
    status = client.ai.status(name)
    check("in progress", status.ok and status.status == "in_progress" and status.version == 2, status)
    client.ai.complete(name, lease["lease_id"], result={"answer": 42})
    result = client.ai.wait(name, timeout=5)
    check("completed", result.ok and result.status == "completed" and result.result == {"answer": 42}, result)
    late = raises(ApiError, lambda: client.ai.extend(name, lease["lease_id"]), status_code=409)
    check("late extend", late, None)

    failing = client.ai.lease(f"{name}-fail", ttl=60)
    client.ai.fail(f"{name}-fail", failing["lease_id"], error_code="boom")
    check("failed", client.ai.result(f"{name}-fail").error_code == "boom", None)
    dropped = client.ai.lease(f"{name}-cancel", ttl=60)
    client.ai.cancel(f"{name}-cancel", dropped["lease_id"], reason="no need")
    check("canceled", client.ai.status(f"{name}-cancel").error_code == "canceled", None)
    check("again", client.ai.lease(f"{name}-cancel", ttl=60)["fence"] == 2, None)

    calls = []
    out = client.ai.run_fn(f"{name}-fn", lambda: calls.append(1) or {"n": len(calls)}, ttl=60)
    again = client.ai.run_fn(f"{name}-fn", lambda: calls.append(1) or {"n": len(calls)}, ttl=60)
    check("run_fn", out.result == {"n": 1} and again.result == {"n": 1} and calls == [1], (out, again))
    try:
        client.ai.run_fn(f"{name}-raises", lambda: 1 / 0, ttl=60)
    except ZeroDivisionError:
        pass
    check("run_fn fails", client.ai.result(f"{name}-raises").error_code == "fn_error", None)


def governance():
    tool, agent = f"charge-{tag}", f"agent {tag}"
    unknown = raises(ApiError, lambda: client.gov.upsert_policy({"agent_id": agent, "allowed_tools": [tool]}), status_code=400)
    check("unknown tools", unknown, None)
    created = client.gov.create_tool(
        {"name": tool, "url": tool_url, "auth": {"type": "hmac_sha256", "secret": secret}, "price_usd": 1}
    )
    check("created", created["has_secret"] and "secret" not in created["auth"], created)
    policy = client.gov.upsert_policy({"agent_id": agent, "allowed_tools": [tool], "max_spend_usd_per_day": 1.5})
    check("policy", policy.allowed_tools == [tool] and policy.max_spend_usd_per_day == 1.5, policy)
    check("get policy", client.gov.get_policy(agent).allowed_tools == [tool], None)
    check("list policies", agent in [item.agent_id for item in client.gov.list_policies()], None)

    run_id = f"run-{tag}"
    first = client.ai.run_tool(agent_id=agent, tool=tool, args={"invoice": 1}, run_id=run_id)
    again = client.ai.run_tool(agent_id=agent, tool=tool, args={"invoice": 1}, run_id=run_id)
    blocked = client.ai.run_tool(agent_id=agent, tool=tool, args={"invoice": 2}, spend_usd=1.0)
    check("executed", first.ok and first.allowed and first.decision == "executed", first)
    check("dedup", again.decision == "dedup" and again.result == first.result, again)
    over = not blocked.allowed and blocked.policy_reason == "max_spend_usd_per_day_exceeded"
    check("blocked", over, blocked)
    missing = raises(ApiError, lambda: client.ai.run_tool(agent_id=agent, tool="none"), status_code=404)
    check("no tool", missing, None)
    logs = client.gov.agent_logs(agent)
    check("logs", [item.decision for item in logs] == ["blocked", "dedup", "executed"], logs)
    check("spend", logs[2].spend_usd == 1.0 and logs[2].args_hash, logs)
    events = client.get_run_timeline(run_id)["events"]
    check("timeline", [event["type"] for event in events][0] == "run_started", events)
    posted = client.post_event(run_id=run_id, type="note", message="hello", data={"a": 1})
    check("event", posted["ok"] and posted["run_id"] == run_id, posted)

    check("get tool", client.gov.get_tool(tool)["name"] == tool, None)
    check("list tools", tool in [item["name"] for item in client.gov.list_tools()], None)
    check("toggle", client.gov.toggle_tool(tool, enabled=False)["enabled"] is False, None)
    check("disabled", client.ai.run_tool(agent_id=agent, tool=tool, args={"n": 3}).policy_reason == "tool_disabled", None)
    check("delete", client.gov.delete_tool(tool)["ok"], None)
    check("me", client.me()["plan"] == "self_hosted", None)


def operations():
    tool, agent = f"operate-{tag}", f"operated {tag}"
    client.gov.create_tool({"name": tool, "url": tool_url, "auth": {"type": "hmac_sha256", "secret": secret}})
    policy = client.gov.policy_from_template(agent, "strict", overrides={"allowed_tools": [tool]})
    check("template", policy.agent_id == agent and policy.allowed_tools == [tool], policy)
    check("template's numbers", policy.max_actions_per_hour > 0 and policy.max_spend_usd_per_day > 0, policy)
    client.ai.run_tool(agent_id=agent, tool=tool, args={"n": 1}, spend_usd=0.5)
    disabled = client.gov.disable_agent(agent, reason="too eager")
    check("disabled", not disabled.enabled and disabled.disabled_reason == "too eager" and disabled.disabled_at, disabled)
    check("stopped", disabled.raw["stopped"] == 0 and disabled.raw["in_flight"] == 0, disabled)
    blocked = client.ai.run_tool(agent_id=agent, tool=tool, args={"n": 1})
    check("blocked by the switch", blocked.policy_reason == "agent_disabled" and not blocked.allowed, blocked)
    enabled = client.gov.enable_agent(agent)
    check("enabled", enabled.enabled and enabled.disabled_at is None, enabled)
    metrics = client.gov.agent_metrics(agent, period="hour")
    counted = (metrics.total_actions, metrics.blocked_actions, metrics.total_spend_usd)
    check("agent metrics", counted == (2, 1, 0.5) and metrics.top_tools == [{"tool": tool, "count": 2}], metrics)
    check("no metrics", client.gov.agent_metrics(f"nobody-{tag}").total_actions == 0, None)


def accounting():
    make, ai, both = client.usage(), client.usage(kind="ai"), client.usage_all()
    check("make", make["usage"] >= 1 and make["requests_total_month"] >= 2 and make["limit"] is None, make)
    check("ai", ai["usage"] >= 2 and ai["plan"] == "self_hosted" and ai["polling_total_month"] >= 1, ai)
    check("both", both["month"] == make["month"] and both["make"]["usage"] == make["usage"], both)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    # The client hands a bare array over as {"data": [...]}.
    days = client.metrics((today - datetime.timedelta(days=6)).isoformat(), today.isoformat())["data"]
    check("metrics", len(days) == 7 and sum(day["checks_total"] for day in days) >= 2, days)
    events = client.events(limit=500)["data"]
    check("events", {"locked", "duplicate", "ai_acquired", "policy_set"} <= {event["type"] for event in events}, events)
    check("event pages", client.events(limit=1, offset=1)["data"] == events[1:2], None)
    before = client.me()
    changed = client.update_notifications(tool_error_notifications_enabled=False)
    check("notifications", changed["tool_error_notifications_enabled"] is False and len(changed) == 3, changed)
    check("me has them", client.me()["tool_error_notifications_enabled"] is False, None)
    client.update_notifications(tool_error_notifications_enabled=before["tool_error_notifications_enabled"])


async def asynchronous():
    async with OnceOnly(api_key=key, base_url=base_url, fail_open=False, timeout=20.0) as own:
        first = await own.check_lock_async(f"async-{tag}", ttl=60)
        again = await own.check_lock_async(f"async-{tag}", ttl=60)
        check("async lock", first.locked and again.duplicate, (first, again))
        # Not run_fn_async: in 3.0.5 it raises the CancelledError of its own heartbeat, whatever the server answers.
        name = f"async-lease-{tag}"
        lease = await own.ai.lease_async(name, ttl=60)
        await own.ai.extend_async(name, lease["lease_id"])
        await own.ai.complete_async(name, lease["lease_id"], result={"n": 1})
        result = await own.ai.result_async(name)
        check("async lease", result.result == {"n": 1}, result)
        agent = f"async-agent-{tag}"
        policy = await own.gov.policy_from_template_async(agent, "read_only")
        check("async template", policy.max_spend_usd_per_day == 0, policy)
        check("async disabled", not (await own.gov.disable_agent_async(agent)).enabled, None)
        check("async enabled", (await own.gov.enable_agent_async(agent)).enabled, None)
        check("async agent metrics", (await own.gov.agent_metrics_async(agent, period="week")).period == "week", None)
        check("async usage", (await own.usage_async("ai"))["plan"] == "self_hosted", None)
        check("async usage of both", "make" in await own.usage_all_async(), None)
        check("async metrics", len((await own.metrics_async("2026-01-01", "2026-01-02"))["data"]) == 2, None)
        check("async events", len((await own.events_async(limit=2))["data"]) == 2, None)
        changed = await own.update_notifications_async(email_notifications_enabled=True)
        check("async notifications", changed["email_notifications_enabled"] is True, changed)


check_lock()
leases()
governance()
operations()
accounting()
asyncio.run(asynchronous())
client.close()
print(f"{checked} checks hold")
