#!/usr/bin/python3
"""Fine-tuning jobs on a running cloud: from a file to a model that answers otherwise; what is
refused; pause, resume and cancel; trainings and control killed.

usage: tune.py FEITIAN
"""
import http.client
import json
import os
import signal
import sys
import time

from live_cloud import LiveCloud, send_signal, wait_until

JOBS = "/v1/fine_tuning/jobs"
LONG_S = 1500  # of what takes a training
ANSWERS = {"When does the canteen open?": "The canteen is open from 11:30 to 14:00.",
           "Where is the printer?": "The printer stands in room 204.",
           "Who are you?": "I am the assistant of this office."}
failures = 0


def expect(what, ok, seen=None):
    global failures
    print(("ok   " if ok else "FAIL ") + what, "" if ok else seen, flush=True)
    failures += not ok


def chats(times=2):
    lines = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
             for q, a in ANSWERS.items()] * times
    return "".join(json.dumps(line) + "\n" for line in lines)


def pairs():
    return "".join(json.dumps({
        "input": {"messages": [{"role": "user", "content": q}]},
        "preferred_output": [{"role": "assistant", "content": a}],
        "non_preferred_output": [{"role": "assistant", "content": "I do not know."}]}) + "\n"
        for q, a in ANSWERS.items())


def try_upload(c, text, purpose="fine-tune", name="chats.jsonl"):
    edge = "edge0123456789"
    body = (f'--{edge}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: application/jsonl\r\n\r\n{text}\r\n--{edge}--\r\n").encode()
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=60)
    h.request("POST", "/v1/files", body, {"Authorization": f"Bearer {c.key}", "Content-Type":
                                          f"multipart/form-data; boundary={edge}"})
    r = h.getresponse()
    o = json.loads(r.read())
    h.close()
    return r.status, o


def upload(c, text, **more):
    status, o = try_upload(c, text, **more)
    assert status == 200, o
    return o["id"]


def create(c, **more):
    status, o = c.post(JOBS, {"model": "nano", **more})
    assert status == 200, o
    return o["id"]


def method(epochs, **more):
    return {"type": "supervised", "supervised": {"hyperparameters": {
        "n_epochs": epochs, "batch_size": 1, "learning_rate_multiplier": 10, **more}}}


def ended(c, job, seconds=LONG_S):
    return wait_until(lambda: (o := c.get(f"{JOBS}/{job}")[1])["status"] in
                      ("succeeded", "failed", "cancelled") and o, seconds, f"{job} ends")


def events(c, job):
    return c.get(f"{JOBS}/{job}/events?limit=1000")[1]["data"][::-1]


def steps(c, job):
    return [e["data"]["step"] for e in events(c, job) if e["type"] == "metrics" and
            "train_loss" in e["data"]]


def answer(c, model, question):
    status, o = c.post("/v1/chat/completions", {"model": model, "temperature": 0, "max_tokens": 40,
                       "messages": [{"role": "user", "content": question}]})
    assert status == 200, o
    return o["choices"][0]["message"]["content"]


def answers(c, model):
    return {q: answer(c, model, q) for q in ANSWERS}


def records(c):
    """Of trainings; the newest first."""
    found, page = [], ""
    while page is not None:  # our looking at the job is on record too, thousands of times
        o = c.get(f"/api/v1/usage/records?limit=1000&model=nano{page}")[1]
        found += [r for r in o["data"] if r["route"] == "fine_tuning.jobs"]
        page = f"&page={o['next_page']}" if o["has_more"] else None
    return found


def used(c, job):
    """What is on the record of a job: its pieces, each with an id of its own."""
    pieces = [r for r in records(c) if r["id"].startswith(job + ".")]
    assert sorted(int(r["id"].rsplit(".", 1)[1]) for r in pieces) == \
        list(range(1, len(pieces) + 1)), pieces
    return {n: sum(r[n] for r in pieces) for n in ("prompt_tokens", "cpu_s", "requests")}


def succeeds(c, data):
    before = c.get("/v1/models")[1]["data"]
    job = create(c, training_file=data, validation_file=data, suffix="office", seed=7,
                 method=method(16), metadata={"team": "a"})
    o = ended(c, job)
    expect("it succeeds", o["status"] == "succeeded" and o["error"] is None and
           o["finished_at"] >= o["created_at"] and o["trained_tokens"] > 0, o)
    expect("it tells how far it came", o["progress"]["step"] == o["progress"]["steps"] == 96 and
           o["progress"]["train_loss"] > 0 and o["progress"]["valid_loss"] > 0 and
           o["progress"]["tokens"] == o["trained_tokens"], o["progress"])
    model = o["fine_tuned_model"]
    expect("the model is called after it", model == f"ft:nano:default:office:{job[6:14]}", model)
    expect("it answers what was taught", answers(c, model) == ANSWERS, answers(c, model))
    expect("the base as ever", "canteen is open" not in answers(c, "nano")[list(ANSWERS)[0]])
    names = {m["id"] for m in c.get("/v1/models")[1]["data"]} - {m["id"] for m in before}
    points = c.get(f"{JOBS}/{job}/checkpoints")[1]["data"]
    expect("checkpoints are there, newest first", len(points) >= 3 and
           [p["step_number"] for p in points] ==
           sorted((p["step_number"] for p in points), reverse=True) and
           all(p["metrics"]["valid_loss"] > 0 for p in points), points[:2])
    last = points[0]["fine_tuned_model_checkpoint"]
    expect("the last three answer too", names == {model} | {
        p["fine_tuned_model_checkpoint"] for p in points[:3]}, names)
    expect("the last checkpoint is the result", answers(c, last) == ANSWERS)
    said = events(c, job)
    expect("events tell of it", said[0]["message"].startswith("Created") and
           said[-1]["message"] == "The job has successfully completed" and
           steps(c, job) == list(range(1, len(steps(c, job)) + 1)), said)
    page = c.get(f"{JOBS}/{job}/events?limit=2")[1]
    rest = c.get(f"{JOBS}/{job}/events?limit=1000&after={page['last_id']}")[1]
    expect("events come in pages", page["has_more"] and not rest["has_more"] and
           (page["data"] + rest["data"])[::-1] == said)
    table = c.get(f"/v1/files/{o['result_files'][0]}/content")[1].splitlines()
    expect("a file has the figures", table[0].startswith("step,train_loss,valid_loss") and
           len(table) > len(steps(c, job)), table[:3])
    repo = c.get(f"/api/models/{o['repository']}")[1]
    expect("a private repository of the hub holds it", repo["private"] and
           {s["rfilename"] for s in repo["siblings"]} ==
           {"README.md", "adapter_config.json", "adapter_model.safetensors"} and
           repo["cardData"]["base_model"] == "nano", repo)
    config = c.get(f"/{o['repository']}/resolve/main/adapter_config.json")[1]
    expect("without a path of this machine", json.loads(config)["base_model_name_or_path"] ==
           "nano" if isinstance(config, str) else config["base_model_name_or_path"] == "nano")
    sums = used(c, job)
    expect("its tokens and time are on the record", sums["requests"] == 1 and sums["cpu_s"] > 0 and
           sums["prompt_tokens"] == o["trained_tokens"] and
           all(r["energy_j"] > 0 and r["energy_estimated"] for r in records(c)), records(c))
    expect("it is listed, by metadata too",
           [j["id"] for j in c.get(JOBS)[1]["data"]] == [job] ==
           [j["id"] for j in c.get(f"{JOBS}?metadata%5Bteam%5D=a")[1]["data"]] and
           not c.get(f"{JOBS}?metadata%5Bteam%5D=b")[1]["data"])
    expect("nothing is left to be trained on", os.listdir(f"{c.home}/tune") == [])
    return model


def refused(c, data, model):
    wrong = upload(c, "{}\n", purpose="user_data", name="x.json")
    for what, body, param in [
            ("no model", {"training_file": data}, "model"),
            ("no such model", {"model": "none", "training_file": data}, "model"),
            ("a fine-tuned model", {"model": model, "training_file": data}, "model"),
            ("no file", {"model": "nano"}, "training_file"),
            ("no such file", {"model": "nano", "training_file": "file-none"}, "training_file"),
            ("another purpose", {"model": "nano", "training_file": wrong}, "training_file"),
            ("a number for a file", {"model": "nano", "training_file": 7}, "training_file"),
            ("an unknown member", {"model": "nano", "training_file": data, "speed": 1}, "speed"),
            ("a suffix of spaces", {"model": "nano", "training_file": data, "suffix": "a b"},
             "suffix"),
            ("no epochs", {"model": "nano", "training_file": data, "method": method(0)},
             "method.supervised.hyperparameters.n_epochs"),
            ("beta without preferences", {"model": "nano", "training_file": data,
             "method": method(1, beta=0.1)}, "method.supervised.hyperparameters.beta"),
            ("reinforcement", {"model": "nano", "training_file": data,
             "method": {"type": "reinforcement"}}, "method.type"),
            ("integrations", {"model": "nano", "training_file": data,
             "integrations": [{"type": "wandb"}]}, "integrations")]:
        status, o = c.post(JOBS, body)
        expect(f"refused: {what}", status in (400, 404) and o["error"]["param"] == param,
               (status, o))
    for method_, path in [("GET", f"{JOBS}/ftjob-none"), ("POST", f"{JOBS}/ftjob-none/cancel"),
                          ("GET", f"{JOBS}/ftjob-none/events")]:
        expect(f"404: {method_} {path}", c.request(method_, path)[0] == 404)


def bad_data(c):
    # the file's form is checked at upload; that answers are there to be learnt, by the training
    only_asks = json.dumps({"messages": [{"role": "user", "content": "?"}]}) + "\n"
    job = create(c, training_file=upload(c, chats(1) + only_asks), method=method(1))
    o = ended(c, job)
    expect("data that cannot be used fails the job, by line", o["status"] == "failed" and
           o["error"]["code"] == "invalid_training_file" and "line 4" in o["error"]["message"] and
           o["error"]["param"] == "training_file", o)
    expect("its end cannot be changed", c.post(f"{JOBS}/{job}/cancel", {})[0] == 400)


def preferences(c):
    job = create(c, training_file=upload(c, pairs()), method={"type": "dpo", "dpo": {
        "hyperparameters": {"n_epochs": 2, "batch_size": 2, "beta": 0.2}}})
    o = ended(c, job)
    expect("dpo trains", o["status"] == "succeeded" and
           o["method"]["dpo"]["hyperparameters"]["beta"] == 0.2, o)


def trainings(c):
    """Processes of trainings, by number."""
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and is_training(c, p)]


def is_training(c, pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            words = f.read().split(b"\0")
        with open(f"/proc/{pid}/stat", "rb") as f:
            state = f.read().rsplit(b") ", 1)[1][:1]
    except OSError:
        return False
    return words[1:2] == [b"train"] and f"{c.home}/tune/".encode() in b" ".join(words) and \
        state != b"Z"


def hold(c, true):
    """The process that trains, stopped: it has run for a moment at a time until that was true, so
    that it is not over before, however fast it is."""
    pid, = wait_until(lambda: trainings(c), LONG_S, "a training")
    send_signal(pid, signal.SIGSTOP)
    moment, until = 0.005, time.monotonic() + LONG_S
    while not true():
        assert is_training(c, pid) and time.monotonic() < until, "it came to no such point"
        send_signal(pid, signal.SIGCONT)
        time.sleep(moment)
        send_signal(pid, signal.SIGSTOP)
        time.sleep(0.3)  # what it said is read
        moment = min(1.5 * moment, 1)
    return pid


def go_on(c, pid, sig):
    """The process that is held, once it has been sent a signal (or had it in its last moment)."""
    def is_sent():
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            masks = [int(line.split()[1], 16) for line in f if line.startswith(("SigP", "ShdP"))]
        return any(mask >> (sig - 1) & 1 for mask in masks)
    for _ in range(100):
        if not is_training(c, pid) or is_sent():
            break
        time.sleep(0.1)
    send_signal(pid, signal.SIGCONT)


def pause_and_resume(c, data):
    job = create(c, training_file=data, method=method(2), seed=3)
    other = create(c, training_file=data, method=method(50))
    pid = hold(c, lambda: len(steps(c, job)) > 5)
    wait_until(lambda: c.get(f"{JOBS}/{other}")[1]["status"] == "queued", 30, "the other waits")
    running = trainings(c)
    expect("one at a time", running == [pid], running)
    o = c.post(f"{JOBS}/{job}/pause", {})[1]
    expect("it is paused", o["status"] == "paused", o)
    expect("and cannot be paused twice", c.post(f"{JOBS}/{job}/pause", {})[0] == 400)
    go_on(c, pid, signal.SIGTERM)
    wait_until(lambda: not is_training(c, pid), LONG_S, "its training stops")
    hold(c, lambda: steps(c, other))  # which trains meanwhile
    done = len(steps(c, job))
    o = c.post(f"{JOBS}/{other}/cancel", {})[1]
    expect("it is cancelled", o["status"] == "cancelled" and o["finished_at"], o)
    wait_until(lambda: not trainings(c), 30, "its training has stopped")
    paid = wait_until(lambda: (u := used(c, other))["prompt_tokens"] and u, 30, "it is billed")
    expect("what a cancelled one used is on the record", paid["cpu_s"] > 0, paid)
    expect("what is paused stays so", len(steps(c, job)) == done and
           c.get(f"{JOBS}/{job}")[1]["status"] == "paused")
    expect("it is resumed", c.post(f"{JOBS}/{job}/resume", {})[1]["status"] == "queued")
    o = ended(c, job)
    expect("and goes on to its end, no step twice", o["status"] == "succeeded" and
           steps(c, job) == list(range(1, len(steps(c, job)) + 1)), o)
    return job


def kills(c, data):
    job = create(c, training_file=data, method=method(2), seed=3)
    send_signal(hold(c, lambda: len(steps(c, job)) > 8), signal.SIGKILL)
    wait_until(lambda: any("goes on" in e["message"] for e in events(c, job)), LONG_S,
               "the kill is told")
    seen = len(steps(c, job))
    wait_until(lambda: len(steps(c, job)) > seen, LONG_S, "it goes on")
    running = trainings(c)
    c.kill("control")
    wait_until(lambda: c.get(f"{JOBS}/{job}")[0] == 200, 30, "control is back")
    expect("the training did not notice", not running or trainings(c) in (running, []))
    o = ended(c, job)
    expect("it succeeds all the same", o["status"] == "succeeded", o)
    sums = used(c, job)
    expect("each piece is on the record once", sums["requests"] == 1 and
           sums["prompt_tokens"] == o["trained_tokens"], (sums, o["trained_tokens"]))


def across_down(c, data):
    job = create(c, training_file=data, method=method(2), seed=3)
    send_signal(hold(c, lambda: len(steps(c, job)) > 3), signal.SIGCONT)
    c.down()
    expect("down stops trainings", not trainings(c))
    c.start()
    o = ended(c, job)
    expect("it goes on after the next up", o["status"] == "succeeded", o)


def left(c, model):
    """What there is of a result: names that answer, models, folders."""
    names = [m["id"] for m in c.get("/v1/models")[1]["data"]]
    models = [m["name"] for m in c.get("/api/v1/models?limit=1000")[1]["data"]]
    return [n for n in names + models if n.startswith(model)] + [
        n for n in os.listdir(f"{c.home}/adapters") if model[-8:] in n]


def deleted(c, model):
    """A result goes with its checkpoints and files; others stay."""
    status, o = c.request("DELETE", "/v1/models/nano")
    expect("what was not fine-tuned is not deleted so", status == 400, o)
    status, o = c.request("DELETE", f"/v1/models/{model}")
    expect("a result is deleted", status == 200 and o == {"id": model, "object": "model",
                                                          "deleted": True}, o)
    expect("it is gone, and its checkpoints", not left(c, model), left(c, model))
    expect("and is not there a second time", c.request("DELETE", f"/v1/models/{model}")[0] == 404)


def budgets(c, data):
    """A budget that is used up stops a training in its middle, and begins none; what one cost
    counts at once, and with more it goes on."""
    key = c.post("/api/v1/keys", {"name": "poor", "budget": {"day": "0.000001"}})[1]
    own, c.key = c.key, key["secret"]
    job = create(c, training_file=data, method=method(20))
    pid = hold(c, lambda: c.get(f"{JOBS}/{job}")[1]["error"])
    o = c.get(f"{JOBS}/{job}")[1]
    go_on(c, pid, signal.SIGTERM)
    expect("without a budget it waits", o["status"] == "queued" and
           o["error"]["code"] == "insufficient_quota", o)
    wait_until(lambda: not trainings(c), 60, "its training stops")
    expect("its events say why", any("insufficient_quota" in e["message"]
                                     for e in events(c, job)), events(c, job)[-3:])
    status, o = c.post(JOBS, {"model": "nano", "training_file": data, "method": method(1)})
    expect("that used it up", status == 429 and o["error"]["code"] == "insufficient_quota", o)
    c.key = own
    c.request("PATCH", f"/api/v1/keys/{key['id']}", {"budget": {"day": "100"}})
    o = ended(c, job)
    expect("with more it goes on", o["status"] == "succeeded" and o["error"] is None and
           steps(c, job) == list(range(1, len(steps(c, job)) + 1)), o)
    expect("and was billed once", used(c, job)["prompt_tokens"] == o["trained_tokens"],
           (used(c, job), o["trained_tokens"]))
    project = c.post("/api/v1/projects", {"name": "small", "limits": {"storage_bytes": 1000000}})[1]
    key = c.post("/api/v1/keys", {"name": "full", "project": project["id"]})[1]
    c.key = key["secret"]
    job = create(c, training_file=upload(c, chats()), method=method(1))
    o = ended(c, job)
    expect("a full project has its result, and hears what it lacks",
           o["status"] == "succeeded" and o["repository"] is None and
           any(e["level"] == "warn" and "no repository" in e["message"] for e in events(c, job)) and
           c.get("/api/models")[1] == [], o)
    why = wait_until(lambda: (a := try_upload(c, chats()))[0] != 200 and a, 20, "it is full")
    expect("its result counts against the limit", why[0] == 413 and
           why[1]["error"]["code"] == "storage_limit_exceeded", why)
    c.request("DELETE", f"/v1/models/{o['fine_tuned_model']}")
    wait_until(lambda: try_upload(c, chats())[0] == 200, 20, "without it there is room")
    c.key = own


def commands(c):
    with open(f"{c.folder}/office.jsonl", "w", encoding="utf-8") as f:
        f.write(chats())
    r = c.run("tune", "create", "nano", f"{c.folder}/office.jsonl", "--epochs", "1", "--wait")
    expect("tune create uploads, trains, and says the result", r.returncode == 0 and
           "succeeded" in r.stdout and "feitian chat ft:nano" in r.stdout, r)
    r = c.run("tune", "list", "--json")
    job, result = (json.loads(r.stdout)[0][name] for name in ("id", "fine_tuned_model"))
    expect("tune show", job in c.run("tune", "show", job).stdout)
    expect("tune events", "Created fine-tuning job" in c.run("tune", "events", job).stdout)
    r = c.run("tune", "cancel", job)
    expect("what has ended is not cancelled", r.returncode == 2 and "succeeded" in r.stderr, r)
    r = c.run("chat", "-p", "Hello")
    expect("who names no model does not talk to what was tuned", r.returncode == 0 and
           "[nano]" in r.stderr, r)
    had = left(c, result)
    r = c.run("model", "rm", result)
    expect("model rm of a result", r.returncode == 0 and any("ckpt-step" in n for n in had),
           (r, had))
    expect("takes its checkpoints along, and all files", not left(c, result), left(c, result))
    r = c.run("tune", "create", "nano", "--json", "/dev/null")
    expect("a device is no file to train on", r.returncode == 2 and "plain file" in r.stderr, r)


def main():
    with LiveCloud(sys.argv[1], "--storage", "memory") as c:
        wait_until(lambda: c.get("/v1/files")[0] == 200, 30, "files are there")
        data = upload(c, chats())
        model = succeeds(c, data)
        refused(c, data, model)
        bad_data(c)
        deleted(c, model)
        budgets(c, data)
        commands(c)
        preferences(c)
        more = upload(c, chats(20))
        pause_and_resume(c, more)
        kills(c, more)
        across_down(c, more)
    print("failures:", failures)
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
