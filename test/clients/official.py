"""The official client against a running server: python official.py BASE_URL KEY TOOL_URL SECRET FAILING_URL."""

import asyncio
import datetime
import threading
import time

import onceonly
from onceonly import OnceOnly
from onceonly.exceptions import ApiError, UnauthorizedError, ValidationError

from official_async import asynchronous
from session import base_url, check, client, failing_url, finish, key, raises, register, secret, tag, tool_url


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
    owned = {"onceonly_owner": f"owner-{tag}"}
    mine, again = (client.ai.lease(f"{name}-owned", ttl=60, metadata=owned) for _ in range(2))
    check("a lost answer is had again", again["status"] == "acquired" and again["lease_id"] == mine["lease_id"], again)
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
    wanted = {"agent_id": agent, "allowed_tools": [tool], "blocked_tools": [f"delete-{tag}"]}
    detail = {"error": "unknown_tools", "tools": [tool, f"delete-{tag}"]}
    unknown = raises(ApiError, lambda: client.gov.upsert_policy(wanted), status_code=400, detail=detail)
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
    detail = {"error": "tool_not_found", "tool": "none"}
    missing = raises(ApiError, lambda: client.ai.run_tool(agent_id=agent, tool="none"), status_code=404, detail=detail)
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


def runs():
    tool, agent, name = f"step-{tag}", f"runner-{tag}", f"run-a-{tag}"
    register(tool)
    plan = {"agent_id": agent, "actions": [{"tool": tool, "args": {"n": n}} for n in (1, 2)]}
    run = client.ai.run(name, ttl=60, metadata=plan, run_id=f"{name}-timeline")
    check("run acquired", run.ok and run.status == "acquired" and run.charged == 1 and run.lease_id, run)
    again = client.ai_run(name, ttl=60, metadata=plan, run_id=f"{name}-timeline")
    check("run attached", again.status in ("polling", "completed") and again.charged == 0, again)
    result = client.ai.wait(name, timeout=20)
    decisions = [action["decision"] for action in result.result["actions"]]
    check("run completed", result.ok and result.status == "completed" and decisions == ["executed"] * 2, result)
    whole = client.ai.run_and_wait(f"{name}-2", metadata=plan, timeout=20)
    check("run and wait", whole.status == "completed" and len(whole.result["actions"]) == 2, whole)
    thin = client.ai_run_and_wait(f"{name}-2", metadata=plan, timeout=20)
    check("run and wait again", thin.done_at == whole.done_at and thin.result == whole.result, thin)
    broken = client.ai.run_and_wait(f"{name}-3", metadata={**plan, "actions": [{"tool": f"none-{tag}"}]}, timeout=20)
    check("run of an unknown tool", broken.status == "failed" and broken.error_code == "tool_not_found", broken)
    governed = client.ai.run_and_wait(agent_id=agent, tool=tool, args={"n": 3})
    check("run and wait with a tool", governed.decision == "executed" and governed.result, governed)
    check("no run", raises(ApiError, lambda: client.ai.status(f"none-{tag}"), status_code=404), None)


def timelines():
    run_id = f"timeline {tag}/1"
    tool = f"fails-{tag}"
    register(tool, failing_url)
    failed = client.ai.run_tool(agent_id=f"failing-{tag}", tool=tool, args={"n": 1}, run_id=run_id)
    check("tool fails", not failed.ok and not failed.allowed and failed.policy_reason == "tool_error", failed)
    check("why it fails", failed.result["http_status"] == 400 and failed.result["detail"], failed)
    for _ in range(50):
        events = client.get_run_timeline(run_id)["events"]
        if events[-1]["type"] == "run_finished":
            break
        time.sleep(0.1)
    check("timeline", [event["type"] for event in events] == ["run_started", "tool_call", "tool_result", "run_finished"], events)
    page = client.get_run_timeline(run_id, limit=1, offset=1)
    check("timeline page", page["total"] == 4 and page["events"] == events[1:2], page)
    moment = int(time.time())
    posted = [client.post_event(run_id=run_id, type="note", ts=moment, step="s", tool=tool, req_id="r", unknown=1) for _ in "12"]
    check("event twice", posted[0]["event_id"] == posted[1]["event_id"], posted)
    check("no timeline", raises(ApiError, lambda: client.get_run_timeline(f"none-{tag}"), status_code=404), None)


def heartbeats():
    # Each run_fn starts a heartbeat that extends at once: it races the complete of work that is done already.
    outcomes = {}

    def work(n):
        outcomes[n] = client.ai.run_fn(f"race-{tag}-{n}", lambda: {"n": n}, ttl=60, extend_every=1.0)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("heartbeats", all(outcomes[n].ok and outcomes[n].result == {"n": n} for n in range(8)), outcomes)
    after = [client.ai.status(f"race-{tag}-{n}").status for n in range(8)]
    check("no heartbeat revives", after == ["completed"] * 8, after)


def decorators():
    calls = []

    @onceonly.idempotent(client, key_prefix=f"once-{tag}", ttl=60, return_value_on_duplicate="again")
    def once(n):
        calls.append(n)
        return "first"

    check("idempotent", [once(1), once(1), once(2)] == ["first", "again", "first"] and calls == [1, 2], calls)

    @onceonly.idempotent_ai(client, key_fn=lambda n: f"welcome-{tag}-{n}", ttl=60, metadata_fn=lambda n: {"n": n})
    def welcome(n):
        calls.append(n)
        return {"sent": n}

    results = [welcome(7), welcome(7)]
    check("idempotent_ai", [result.result for result in results] == [{"sent": 7}] * 2 and calls == [1, 2, 7], results)


def closing():
    with OnceOnly(api_key=key, base_url=f"{base_url}/v1/", fail_open=False) as own:
        check("base URL with its path", own.me()["key_preview"] == client.me()["key_preview"])
    check("closed", own._sync_client.is_closed)
    own.close()
    nobody = OnceOnly(api_key=key, base_url="http://127.0.0.1:9", fail_open=True, timeout=1.0)
    opened = nobody.check_lock("k", ttl=60)
    check("fails open without a server", opened.locked and opened.raw["fail_open"], opened)


for part in (check_lock, leases, governance, operations, accounting, runs, timelines, heartbeats, decorators, closing):
    part()
asyncio.run(asynchronous())
client.close()
finish()
