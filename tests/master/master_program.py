"""What the test programs of the master begin with: each plays a master in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PRELUDE = """
import json, logging, os, signal, socket, sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
import msgspec
from arenad import deadman, log
from arenad.master import blank, kernel, keeper, life, nursery, zygote
from arenad.master.loop import Loop
from arenad.master.life import Event
from arenad.master.settings import Settings
from arenad.master.supervisor import Supervisor
from arenad.schema.config import Config
from arenad.schema.process import ForkOrder
zygote.LATE_IMPORTS = ()
for role in zygote.ROLES:
    zygote.ROLES[role] = "acting_role"
kernel.become_subreaper()
loop = Loop()
lines = []
log.setup("master", "debug", lines.append)

def settings(**sections):
    daemon = {{"runtime_dir": {runtime!r}}}
    made = Settings(msgspec.convert(
        {{"daemon": daemon, "site": {{"url": "http://127.0.0.1:9/"}},
         "history": {{"enabled": False}}, **sections}}, Config))
    made.claim_folders()
    return made

def acts(**roles):
    os.environ.update({{"ACTS_" + role: text for role, text in roles.items()}})

def sigchld(sweep):
    read, write = socket.socketpair()
    read.setblocking(False), write.setblocking(False)
    signal.set_wakeup_fd(write.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    loop.watch(read.fileno(), lambda _: (read.recv(999), sweep()))
    return read, write

def run_until(condition, timeout_s=20):
    deadline_s = time.monotonic() + timeout_s
    def look():
        if time.monotonic() > deadline_s:
            raise AssertionError("did not get there")
        loop.running = not condition()
        if loop.running:
            loop.after(0.005, look)
    loop.running = True
    look()
    loop.run()

def told(text):
    return [line.text for line in lines if text in line.text]

def say(**found):
    print(json.dumps(found))
"""


def run_master(program: str, **environment: str) -> dict:
    """What the program says; it must end well."""
    with tempfile.TemporaryDirectory(prefix="arenad-program-") as folder:
        text = PRELUDE.format(folder=str(Path(__file__).parent), runtime=f"{folder}/run") + program
        done = subprocess.run(
            [sys.executable, "-c", text],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **environment},
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SUPERVISOR = """
made = settings(
    fleet={"instances": 3, "start_parallel": 2},
    life={"stop_timeout_s": 0.5, "backoff_first_s": 0.01, "backoff_limit_s": 0.02, "deaths": 4},
)
acts(frontend="hello ready", worker="hello ready")

def fleet(**changed):
    changed = msgspec.structs.replace(made.config.fleet, **changed)
    made.config = msgspec.structs.replace(made.config, fleet=changed)

def begin():
    global boss, wake
    boss = Supervisor(loop, made, lambda role: (), lambda: None)
    wake = sigchld(boss.on_sigchld)
    boss.start()

def phases():
    return {child.name: child.phase for child in boss.state().children}

def leave():
    boss.shutdown()
    run_until(lambda: not [p for p in phases().values() if p != "stopped"])
    while boss.end_all():
        pass
"""
"""What comes first in a program that plays the supervisor, for `run_master`."""
