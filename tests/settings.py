"""Settings of the test run: the real ones, pointed at a test database, a Valkey database and folders of their own.

The addresses go into the environment, so that worker and server processes started by tests use the same ones.
"""

import atexit
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from psycopg.conninfo import make_conninfo

from config import embedded

# Tests may run in several processes at once, each on servers' databases of its own: gw0, gw1, ...
process = os.environ.get("PYTEST_XDIST_WORKER", "")
TEST_DATABASE = os.environ.get("SEQUITUR_TEST_DB", "test_sequitur") + (f"_{process}" if process else "")

embedded.ensure_running()
addresses = embedded.environment()
for name in embedded.DATABASE_NAMES:
    os.environ[name] = make_conninfo(addresses[name], dbname=TEST_DATABASE)

# The default Valkey has 16 databases; the first two belong to a suite that may be running beside the tests.
first = int(hashlib.sha256(TEST_DATABASE.removesuffix(f"_{process}").encode()).hexdigest(), 16)
number = 2 + (first + int(process.removeprefix("gw") or 0)) % 14
for name in embedded.VALKEY_NAMES:
    os.environ[name] = re.sub(r"((?:\?|&)(?:db|virtual_host)=|:\d+/)\d+", rf"\g<1>{number}", addresses[name])

workspace = Path(tempfile.mkdtemp(prefix="sequitur-test-"))
atexit.register(shutil.rmtree, workspace, ignore_errors=True)
os.environ["ARTIFACTS"] = str(workspace / "artifacts")
os.environ["SNAPSHOTS"] = str(workspace / "snapshots")
os.environ["BATCHES"] = str(workspace / "batches")
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GATEWAY_TRANSPORT", "inline")
# Tests write faster than customers do.
os.environ.setdefault("CUSTOMER_MESSAGES_PER_MINUTE", "10000")

from config.settings import *  # noqa: E402, F403

TEST_WORKSPACE = workspace
# Else each client of a test reads the folders of all static files first.
WHITENOISE_AUTOREFRESH = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
