"""What control takes of usage, and how it reports it, in its own form and in OpenAI's."""
import json
import time

from control_client import expect

BEFORE_MIDNIGHT_S = 300  # reports of today and yesterday are not begun so late
NOON = None  # yesterday's, UTC


def records():
    """Of three hours of two days, as gateways deliver them."""
    global NOON
    left = 86400 - time.time() % 86400
    if left < BEFORE_MIDNIGHT_S:
        print(f"     waits {left:.0f} s for midnight, UTC", flush=True)
        time.sleep(left + 1)
    NOON = int(time.time()) // 86400 * 86400 - 86400 + 43200
    out = []
    for i in range(240):
        end = (NOON + i % 3 * 3600 + i % 7 * 60 + 1) if i % 4 else int(time.time())
        route = ("chat.completions", "embeddings", "messages", "rerank")[i % 4]
        out.append({"id": f"req_{i:04}", "project": ("default", "left")[i % 2], "key": f"k{i % 3}",
                    "model": ("nano", "other")[i % 5 == 0], "route": route,
                    "status": ("ok", "cancelled", "refused")[i % 8 // 3], "http": 200,
                    "stream": i % 2 == 0, "requests": 1 + i % 2, "start_us": (end - 1) * 10**6,
                    "end_us": end * 10**6, "first_us": 1000, "prompt_tokens": 100 + i,
                    "cached_tokens": i % 50, "reasoning_tokens": 0,
                    "completion_tokens": 0 if route in ("embeddings", "rerank") else i,
                    "cost_nanos": 1000 * i + 1, "cpu_us": 5000, "energy_uj": 7,
                    "energy_estimated": i % 2 == 0})
    for i in range(2):  # clients that went away before anything of a model was known
        out.append({**out[i], "id": f"gone_{i}", "route": "chat.completions", "model": "",
                    "status": "cancelled", "http": 0, "prompt_tokens": 0, "cached_tokens": 0,
                    "completion_tokens": 0, "cost_nanos": 0, "cpu_us": 0, "energy_uj": 0,
                    "energy_estimated": False})
    return out


def usage(c):
    def post(rows):
        lines = "".join(json.dumps(r) + "\n" for r in rows)
        return c.ask("POST", "/internal/usage", lines, role=None)
    rows = records()
    expect("records are taken, once", post(rows[:100])["new"] == 100 and post(rows)["new"] ==
           142 and
           post(rows)["new"] == 0 and post([])["new"] == 0)
    for bad in ("{}", "x", '{"id":"a"}', json.dumps({**rows[0], "prompt_tokens": -1})):
        a = c.ask("POST", "/internal/usage", json.dumps(rows[0]) + "\n" + bad + "\n", role=None)
        expect(f"{bad[:20]} is refused with its line", a.status == 400 and "line 2" in
               a["error"]["message"], a)
    today = [r for r in rows if r["end_us"] >= int(time.time()) // 86400 * 86400 * 10**6]
    month = time.strftime("%Y-%m", time.gmtime())
    spent = [r for r in rows if time.strftime("%Y-%m", time.gmtime(r["end_us"] // 10**6)) == month]
    spend = {k: {x["id"]: (x["day_nanos"], x["month_nanos"]) for x in v} for k, v in
             c.ask("GET", "/internal/spend", role=None).json.items()}

    def total(of, field, value):
        return sum(r["cost_nanos"] for r in of if r[field] == value)
    expect("spend by project and key", spend ==
           {f"{k}s": {v: (total(today, k, v), total(spent, k, v))
           for v in {r[k] for r in rows}} for k in ("project", "key")}, spend)
    reports(c, rows)
    organization(c, rows)


def reports(c, rows):
    def figures(of):
        keys = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nanos")
        return tuple(sum(r[k] for r in of) for k in keys) + (any(r["energy_estimated"] for r in of),
                                                             )

    def of(row):
        keys = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nanos",
                "energy_estimated")
        return tuple(row[k] for k in keys)
    u = c.ask("GET", "/api/v1/usage")
    expect("one row without groups, which is the total", len(u["data"]) == 1 and
           of(u["data"][0]) == of(u["total"]) == figures(rows), u)
    cost = sum(r["cost_nanos"] for r in rows)
    expect("money is exact", u["total"]["cost"] == f"{cost / 1e9:.9f}".rstrip("0") and
           u["currency"] == "USD" and abs(u["total"]["cpu_s"] - 240 * 0.005) < 1e-9, u)
    for groups in (["project"], ["key", "model"], ["route"], ["status"], ["hour"],
                   ["day", "project"]):
        u = c.ask("GET", "/api/v1/usage?" + "&".join(f"group_by={g}" for g in groups))
        width = 3600 if "hour" in groups else 86400 if "day" in groups else 0
        want = {}
        for r in rows:
            at = r["end_us"] // 10**6 // width * width if width else None
            name = (at,) + tuple(r[g] if g in groups else None for g in
                                 ("project", "key", "model", "route", "status"))
            want.setdefault(name, []).append(r)
        got = {(x["start"], x["project"], x["key"], x["model"], x["route"], x["status"]): of(x)
               for x in u["data"]}
        expect(f"usage by {groups}", got == {k: figures(v) for k, v in want.items()} and
               u["group_by"] == groups, u)
    for page in ("page_-1", "page_9223372036854775807", "page_7x", "7"):
        a = c.ask("GET", f"/api/v1/usage?page={page}")
        expect(f"{page} is refused", a.error()[:2] == (400, "page"), a)
    pages, page = [], ""
    while True:
        u = c.ask("GET", f"/api/v1/usage?group_by=key,route&limit=2{page}")
        pages += u["data"]
        if not u["has_more"]:
            break
        page = f"&page={u['next_page']}"
    expect("pages of a report", sum(x["requests"] for x in pages) == figures(rows)[0] and
           len({(x["key"], x["route"]) for x in pages}) == len(pages) and u["next_page"] is None, u)
    some = [r for r in rows if r["model"] == "nano" and r["key"] == "k0" and
            NOON <= r["end_us"] / 10**6 < NOON + 121]
    u = c.ask("GET", f"/api/v1/usage?model=nano&key=k0&start_time={NOON}&end_time={NOON + 121}")
    expect("filters, to the second", some and of(u["total"]) == figures(some), u)
    left = [r for r in rows if r["project"] == "left"]
    u = c.ask("GET", "/api/v1/usage?group_by=project", role="viewer", project="left")
    expect("others see their own project", [x["project"] for x in u["data"]] == ["left"] and
           of(u["total"]) == figures(left), u)
    expect("and no other",
           c.ask("GET", "/api/v1/usage?project=default", role="admin", project="left")
           .error()[:2] == (404, "project"))
    expect("nothing is zero", of(c.ask("GET", "/api/v1/usage?model=none")["total"]) ==
           (0, 0, 0, 0, 0, False))
    single, page = [], ""
    while True:
        a = c.ask("GET", f"/api/v1/usage/records?limit=100{page}")
        single += a["data"]
        if not a["has_more"]:
            break
        page = f"&page={a['next_page']}"
    expect("single requests, the newest first", [x["id"] for x in single] == [r["id"] for r in
           sorted(rows, key=lambda r: (r["end_us"], r["id"]), reverse=True)], len(single))
    by_id = {r["id"]: r for r in rows}
    expect("as they were delivered", all(of(x) == figures([by_id[x["id"]]]) and
           abs(x["end"] * 10**6 - by_id[x["id"]]["end_us"]) < 1 and
           x["status"] == by_id[x["id"]]["status"] for x in single))
    a = c.ask("GET", "/api/v1/usage/records?key=k1&limit=1000", role="viewer", project="left")
    expect("of a key of the own project", len(a["data"]) == len([r for r in left if r["key"] ==
           "k1"]) and {x["project"] for x in a["data"]} == {"left"}, a)
    expect("hour and day do not go together", c.ask("GET", "/api/v1/usage?group_by=hour,day")
           .error()[:2] == (400, "group_by"))
    expect("a page of ours", c.ask("GET", "/api/v1/usage?page=x").error()[:2] == (400, "page"))


def organization(c, rows):
    served = [r for r in rows if r["status"] != "refused" and r["model"] != ""]
    text = [r for r in served if r["route"] in ("chat.completions", "messages")]
    vectors = [r for r in served if r["route"] == "embeddings"]
    day = NOON // 86400 * 86400

    def get(path, **who):
        buckets, page, n = [], "", 0
        while True:
            a = c.ask("GET", f"/v1/{path}{page}", **who)
            if a.status != 200:
                return a
            buckets += a["data"]
            n += 1
            if not a["has_more"]:
                return buckets
            page = f"&page={a['next_page']}"
    b = get(f"organization/usage/completions?start_time={day + 5}")
    expect("buckets of days, from the start's", [x["start_time"] for x in b] ==
           [day, day + 86400] and
           all(x["end_time"] - x["start_time"] == 86400 for x in b), b)
    expect("tokens of what generates text",
           sum(r["input_tokens"] for x in b for r in x["results"]) ==
           sum(r["prompt_tokens"] for r in text) and
           sum(r["output_tokens"] for x in b for r in x["results"]) ==
           sum(r["completion_tokens"] for r in text) and
           sum(r["num_model_requests"] for x in b for r in x["results"]) ==
           sum(r["requests"] for r in text) and b[0]["results"][0]["model"] is None, b)
    b = get(f"organization/usage/embeddings?start_time={day}")
    expect("embeddings", sum(r["input_tokens"] for x in b for r in x["results"]) ==
           sum(r["prompt_tokens"] for r in vectors) and "output_tokens" not in b[0]["results"][0],
           b)
    for width, seconds in (("1h", 3600), ("1m", 60)):
        b = get(f"organization/usage/completions?start_time={NOON}&end_time={NOON + 3 * 3600}"
                f"&bucket_width={width}&limit=24&group_by[]=project_id&group_by[]=model")
        want = {}
        for r in text:
            at = r["end_us"] // 10**6
            if NOON <= at < NOON + 3 * 3600:
                name = (at // seconds * seconds, r["project"], r["model"])
                want[name] = want.get(name, 0) + r["completion_tokens"]
        got = {(x["start_time"], r["project_id"], r["model"]): r["output_tokens"]
               for x in b for r in x["results"]}
        expect(f"by {width}, project and model, page by page", got == want and len(b) ==
               3 * 3600 // seconds, (got, want))
    now = int(time.time())
    hour = now // 3600 * 3600
    late = sum(r["completion_tokens"] for r in text if r["end_us"] // 10**6 >= hour - 7200)
    for query, n in ((f"start_time={hour - 7200}&bucket_width=1h&limit=2", 3),
                     (f"start_time={hour - 7200}&bucket_width=1m&limit=125",
                      (now - hour) // 60 + 121)):
        b = get(f"organization/usage/completions?{query}")
        starts = [x["start_time"] for x in b]
        expect(f"a page that ends in this hour has nothing of the next one: {query}",
               starts == sorted(set(starts)) and
               n <= len(b) <= n + 1 + (time.time() - now) // 60 and
               sum(r["output_tokens"] for x in b for r in x["results"]) == late,
               (late, [x for x in b if x["results"]]))
    b = get(f"organization/usage/completions?start_time={hour - 3600}&end_time={now - 1800}"
            "&bucket_width=1h")
    expect("what ended behind end_time is not in it",
           sum(r["output_tokens"] for x in b for r in x["results"]) ==
           sum(r["completion_tokens"] for r in text
               if hour - 3600 <= r["end_us"] // 10**6 < now - 1800), b)
    b = get(f"organization/costs?start_time={day}&group_by=line_item&group_by=project_id")
    want = {}
    for r in served:
        name = (r["end_us"] // 10**6 // 86400 * 86400, r["model"], r["project"])
        want[name] = want.get(name, 0) + r["cost_nanos"]
    got = {(x["start_time"], r["line_item"], r["project_id"]): round(r["amount"]["value"] * 1e9)
           for x in b for r in x["results"]}
    expect("costs", got == want and b[0]["results"][0]["amount"]["currency"] == "usd", (got, want))
    own = [r for r in text if r["project"] == "left"]
    for path, who in (("usage", {}), ("usage/completions", {"role": "viewer"}),
                      ("organization/usage/completions", {"role": "admin"})):
        b = get(f"{path}?start_time={day}", project="left", **who)
        expect(f"{path} {who}: of the own project", sum(r["input_tokens"] for x in b for r in
               x["results"]) == sum(r["prompt_tokens"] for r in own), b)
    get(f"usage/embeddings?start_time={day}")
    get(f"usage/costs?start_time={day}")
    expect("another's is not there", get(f"usage?start_time={day}&project_ids=left").error()[:2] ==
           (404, "project_ids"))
    for query, param in (("", "start_time"), (f"start_time={day}&end_time={day}", "end_time"),
                         (f"start_time={day}&limit=32", "limit"),
                         (f"start_time={day}&bucket_width=2d", "bucket_width"),
                         (f"start_time={day}&group_by=batch", "group_by[0]"),
                         (f"start_time={day}&page=page_7", "page"),
                         (f"start_time={day}&user_ids=x", "user_ids")):
        expect(f"usage?{query} is refused", get(f"usage?{query}").error()[:2] == (400, param))
