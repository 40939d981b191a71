"""The asynchronous half of the official client, method by method."""

import onceonly
from onceonly import OnceOnly
from onceonly.exceptions import ApiError

from session import base_url, check, key, matches, secret, swallowing_its_own_cancel, tag, tool_url


async def refused(call, **expected):
    try:
        await call
    except ApiError as caught:
        return all(matches(getattr(caught, field), value) for field, value in expected.items())
    return False


async def locks(own):
    first = await own.check_lock_async(f"async-{tag}", ttl=60)
    again = await own.check_lock_async(f"async-{tag}", ttl=60)
    check("async lock", first.locked and again.duplicate, (first, again))
    name = f"async-lease-{tag}"
    lease = await own.ai.lease_async(name, ttl=60)
    extended = await own.ai.extend_async(name, lease["lease_id"], ttl=120)
    check("async extended", extended["version"] == 2 and extended["ttl"] == 120, extended)
    check("async status", (await own.ai.status_async(name)).status == "in_progress")
    await own.ai.complete_async(name, lease["lease_id"], result={"n": 1})
    result = await own.ai.result_async(name)
    waited = await own.ai.wait_async(name, timeout=5)
    check("async lease", result.result == {"n": 1} and waited == result, (result, waited))
    failing = await own.ai.lease_async(f"{name}-fail", ttl=60)
    failed = await own.ai.fail_async(f"{name}-fail", failing["lease_id"], error_code="boom")
    check("async failed", failed["status"] == "failed" and failed["error_code"] == "boom", failed)
    dropped = await own.ai.lease_async(f"{name}-cancel", ttl=60)
    canceled = await own.ai.cancel_async(f"{name}-cancel", dropped["lease_id"], reason="no need")
    check("async canceled", canceled["error_code"] == "canceled", canceled)

    async def work():
        return {"done": True}

    await swallowing_its_own_cancel(own.ai.run_fn_async(f"{name}-fn", work, ttl=60))
    again = await own.ai.run_fn_async(f"{name}-fn", work, ttl=60)
    check("async run_fn", again.ok and again.result == {"done": True}, again)


async def decorated(own):
    calls = []

    @onceonly.idempotent(own, key_prefix=f"async-once-{tag}", ttl=60, on_duplicate=lambda n: f"again {n}")
    async def once(n):
        calls.append(n)
        return "first"

    check("async idempotent", [await once(1), await once(1)] == ["first", "again 1"] and calls == [1], calls)

    @onceonly.idempotent_ai(own, key=f"async-welcome-{tag}", ttl=60)
    async def welcome():
        calls.append("welcome")
        return {"sent": True}

    await swallowing_its_own_cancel(welcome())
    check("async idempotent_ai", (await welcome()).result == {"sent": True} and calls == [1, "welcome"], calls)


async def runs(own, agent, tool):
    name, timeline = f"async-run-{tag}", f"async-timeline-{tag}"
    executed = await own.ai.run_tool_async(agent_id=agent, tool=tool, args={"n": 1}, run_id=timeline)
    check("async run_tool", executed.ok and executed.decision == "executed", executed)
    repeated = await own.ai.run_async(agent_id=agent, tool=tool, args={"n": 1})
    check("async run", repeated.decision == "dedup" and repeated.result == executed.result, repeated)
    plan = {"agent_id": agent, "actions": [{"tool": tool, "args": {"n": 2}}]}
    run = await own.ai_run_async(name, ttl=60, metadata=plan)
    check("async ai_run", run.status == "acquired" and run.lease_id, run)
    whole = await own.ai.run_and_wait_async(name, metadata=plan, timeout=20)
    decisions = [action["decision"] for action in whole.result["actions"]]
    check("async run_and_wait", whole.status == "completed" and decisions == ["executed"], whole)
    check("async ai_run_and_wait", await own.ai_run_and_wait_async(name, metadata=plan, timeout=20) == whole)
    posted = await own.post_event_async(run_id=timeline, type="note", message="hello")
    events = (await own.get_run_timeline_async(timeline))["events"]
    check("async timeline", events[-1]["id"] == posted["event_id"] and events[0]["type"] == "run_started", events)


async def governance(own):
    agent, tool = f"async-agent-{tag}", f"async-tool-{tag}"
    detail = {"error": "unknown_tools", "tools": [tool]}
    unknown = own.gov.upsert_policy_async({"allowed_tools": [tool]}, agent_id=agent)
    check("async unknown tools", await refused(unknown, status_code=400, detail=detail))
    auth = {"type": "hmac_sha256", "secret": secret}
    created = await own.gov.create_tool_async({"name": tool, "url": tool_url, "auth": auth})
    check("async created", created["has_secret"] and created["name"] == tool, created)
    policy = await own.gov.upsert_policy_async({"agent_id": agent, "allowed_tools": [tool]})
    check("async policy", policy.allowed_tools == [tool] and policy.raw["policy_version"] == 1, policy)
    check("async get policy", (await own.gov.get_policy_async(agent)).allowed_tools == [tool])
    check("async policies", agent in [item.agent_id for item in await own.gov.list_policies_async()])
    await runs(own, agent, tool)
    logs = await own.gov.agent_logs_async(agent, limit=10)
    check("async logs", {log.decision for log in logs} == {"executed", "dedup"} and logs[0].tool == tool, logs)
    check("async tool", (await own.gov.get_tool_async(tool))["name"] == tool)
    check("async tools", tool in [item["name"] for item in await own.gov.list_tools_async()])
    check("async toggle", (await own.gov.toggle_tool_async(tool, enabled=False))["enabled"] is False)
    check("async delete", (await own.gov.delete_tool_async(tool))["ok"])
    template = await own.gov.policy_from_template_async(agent, "read_only")
    check("async template", template.max_spend_usd_per_day == 0, template)
    check("async disabled", not (await own.gov.disable_agent_async(agent)).enabled)
    check("async enabled", (await own.gov.enable_agent_async(agent)).enabled)
    check("async agent metrics", (await own.gov.agent_metrics_async(agent, period="week")).period == "week")


async def accounting(own):
    check("async me", (await own.me_async())["plan"] == "self_hosted")
    check("async usage", (await own.usage_async("ai"))["plan"] == "self_hosted")
    check("async usage of both", "make" in await own.usage_all_async())
    check("async metrics", len((await own.metrics_async("2026-01-01", "2026-01-02"))["data"]) == 2)
    check("async events", len((await own.events_async(limit=2))["data"]) == 2)
    changed = await own.update_notifications_async(email_notifications_enabled=True)
    check("async notifications", changed["email_notifications_enabled"] is True, changed)


async def asynchronous():
    async with OnceOnly(api_key=key, base_url=base_url, fail_open=False, timeout=20.0) as own:
        for part in (locks, decorated, governance, accounting):
            await part(own)
        await own.aclose()
        check("async closed", own._async_client is None)
        check("opened again", (await own.me_async())["is_active"])
