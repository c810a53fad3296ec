"""Measures the collector: bench.py PROGRAM DIRECTORY REPORTS [PYTHON WITH CHDB]. scripts/bench-collector runs it."""
import json
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from urllib.request import urlopen

program, work, reports, chdb = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), (sys.argv[4:] or [""])[0]
DAYS = 31


def body(identifier, second, kind, version):
    """Returns a report of typical size, about 1.6 kB."""
    report = {
        "anonymous_id": identifier, "version": version, "edition": "personal", "os": "linux", "arch": "amd64",
        "go_version": "rust1.95", "server_count": 3, "connected_server_count": 2, "tool_count": 21, "uptime_hours": 30,
        "routing_mode": "retrieve_tools", "quarantine_enabled": True, "timestamp": second, "schema_version": 3,
        "current_version": version, "previous_version": "", "last_startup_outcome": "success",
        "surface_requests": {"mcp": 21, "cli": 1, "webui": 0, "tray": 2, "unknown": 0},
        "builtin_tool_calls": {"retrieve_tools": 7, "call_tool_read": 3, "call_tool_write": 0, "call_tool_destructive": 0,
                               "upstream_servers": 0, "quarantine_security": 0, "code_execution": 0},
        "upstream_tool_call_count_bucket": "11-100", "rest_endpoint_calls": {},
        "feature_flags": {"enable_socket": True, "enable_web_ui": False, "enable_prompts": True, "require_mcp_auth": False,
                          "enable_code_execution": False, "quarantine_enabled": True,
                          "sensitive_data_detection_enabled": False, "oauth_provider_types": [], "docker_available": False},
        "error_category_counts": {}, "doctor_checks": {},
        "server_protocol_counts": {"stdio": 3, "http": 0, "sse": 0, "streamable_http": 0, "auto": 0}, "env_kind": kind,
        "env_markers": {"has_ci_env": False, "has_cloud_ide_env": False, "is_container": False, "has_tty": True,
                        "has_display": True},
        "launch_source": "tray", "autostart_enabled": None,
        "activation": {"first_connected_server_ever": True, "first_mcp_client_ever": True,
                       "first_retrieve_tools_call_ever": True, "mcp_clients_seen_ever": ["vscode"],
                       "retrieve_tools_calls_24h": 7, "estimated_tokens_saved_24h_bucket": "1k_10k",
                       "configured_ide_count": 1},
    }
    return json.dumps(report, separators=(",", ":"))


def lines(count):
    """Yields reports of `count / 10` installations over a month, in the order of receipt and in the format of `export`, with short bodies."""
    chance = random.Random(7)
    installations = max(count // 10, 1)
    identifiers = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(installations)]
    number = 0
    for day in range(DAYS):
        for second in range(count // DAYS):
            at = second * 86400 // (count // DAYS)
            stamp = f"2026-01-{day + 1:02}T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z"
            # Most installations report once or twice, some every day.
            index = int(installations * chance.random() ** 2)
            kind = "interactive" if index % 10 else "ci"
            text = ('{"anonymous_id":"%s","version":"0.5.%d","os":"linux","schema_version":3,"env_kind":"%s","launch_source":"tray",'
                    '"server_count":1,"timestamp":"%s","uptime_hours":%d,"builtin_tool_calls":{"retrieve_tools":3},'
                    '"activation":{"first_mcp_client_ever":true,"mcp_clients_seen_ever":["codex"]}}'
                    % (identifiers[index], day // 10, kind, stamp, number))
            number += 1
            yield '{"received_at":"%s","src":"","body":%s}\n' % (stamp, json.dumps(text))


def cpu(arguments, **more):
    """Runs a command; returns its CPU seconds, wall seconds and peak memory in MB."""
    began = time.monotonic()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, **more)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{arguments} failed")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss / 1024


def show(name, seconds, wall, memory, more=""):
    print(f"{name:44} {seconds:9.2f} CPU s {wall:9.2f} s wall {memory:7.0f} MB  {more}", flush=True)


def stored(name, options, size, server=None):
    """Loads all reports, and asks for figures like a user does. `server` is the process of a database server."""
    def run(what, *arguments, more=lambda seconds: ""):
        before = used(server)[0] if server else 0
        seconds, wall, memory = cpu([program, *options, *arguments])
        there = f"{used(server)[0] - before:.2f} CPU s in the server; " if server else ""
        show(f"{name}: {what}", seconds, wall, memory, there + more(seconds))

    run(f"load {reports} reports", "replay", str(work / "events.jsonl"), more=lambda seconds: f"{reports / seconds:,.0f} reports per CPU s")
    total = size()
    print(f"{name}: {total / 1e6:.0f} MB on disk, {total / reports:.1f} bytes a report")
    for command in ("funnel", "retention", "stats"):
        run(f"{command}, cold", command, "--who", "all")
    run("verify", "verify")


def serving(options):
    """Starts the service; returns the process and its two addresses."""
    process = subprocess.Popen([program, *options, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
                               stdout=subprocess.PIPE, text=True)
    addresses = [process.stdout.readline().split("http://")[1].split("/")[0] for _ in range(3)]
    return process, addresses[0], addresses[2]


def used(process):
    """Returns the CPU seconds and peak memory in MB of a running process."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    peak = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1024


def send(address, requests, pace, times):
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began = time.monotonic()
    for number, request in enumerate(requests):
        if pace:
            time.sleep(max(0, began + number * pace - time.monotonic()))
        start = time.monotonic()
        connection.sendall(request)
        answer = connection.recv(4096)
        times.append(time.monotonic() - start)
        if b" 204 " not in answer[:20]:
            sys.exit(answer.decode())


def over_http(count, pace, senders=32):
    data = work / f"http-{count}-{bool(pace)}"
    process, public, _ = serving(["--data", str(data)])
    chance = random.Random(count)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    requests = []
    for _ in range(count):
        text = body(str(uuid.UUID(int=chance.getrandbits(128), version=4)), stamp, "interactive", "0.5.0").encode()
        requests.append(b"POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                        % (len(text), text))
    before, _ = used(process)
    times, began = [], time.monotonic()
    threads = [threading.Thread(target=send, args=(public, requests[n::senders], pace and pace * senders, times))
               for n in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.monotonic() - began
    after, memory = used(process)
    times.sort()
    rate = "at 500/s" if pace else "as fast as it goes"
    show(f"HTTP: {count} reports {rate}", after - before, wall, memory,
         f"{count / (after - before):,.0f} per CPU s; p50 {times[len(times) // 2] * 1e3:.1f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms")
    process.terminate()
    process.wait()


def warm_page(database, options):
    process, _, admin = serving(options)
    for name in ("first", "warm"):
        began, (before, _) = time.monotonic(), used(process)
        size = len(urlopen(f"http://{admin}/?who=all").read())
        after, memory = used(process)
        show(f"{database}: page, {name}", after - before, time.monotonic() - began, memory, f"{size} bytes")
    process.terminate()
    process.wait()


print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}", flush=True)
over_http(20_000, None)
over_http(5_000, 1 / 500)
with open(work / "events.jsonl", "w") as file:
    file.writelines(lines(reports))
sqlite = work / "sqlite"
stored("SQLite", ["--data", str(sqlite)], lambda: sum(file.stat().st_size for file in sqlite.rglob("*") if file.is_file()))
warm_page("SQLite", ["--data", str(sqlite)])
if chdb:
    server = subprocess.Popen([chdb, str(Path(__file__).with_name("chdb_server.py")), str(work / "chdb")], stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline())

    def size():
        question = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench'"
        return int(urlopen(f"http://127.0.0.1:{port}/", question.encode()).read())

    options = ["--data", str(work / "clickhouse"), "--store", f"clickhouse://127.0.0.1:{port}/bench"]
    stored("ClickHouse", options, size, server)
    warm_page("ClickHouse", options)
    server.kill()
    server.wait()
