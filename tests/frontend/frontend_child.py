"""A frontend as the zygote makes one; at its end it prints what was imported too late."""

import importlib
import json
import socket
import sys

from arenad import deadman
from arenad.frontend import run
from arenad.master.zygote import LATE_IMPORTS
from arenad.schema.process import ForkOrder

for module in LATE_IMPORTS:
    importlib.import_module(module)
order = ForkOrder(role="frontend", name="frontend-1", generation=1, uid=0, gid=0)
sockets = [socket.socket(fileno=int(fd)) for fd in sys.argv[1:]]
before = set(sys.modules)
exit_code = run.main(order, deadman.create(), sockets)
late = sorted(set(sys.modules) - before)
sys.stdout.write(json.dumps(late))
sys.stdout.flush()
sys.exit(exit_code)
