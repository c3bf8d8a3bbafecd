"""The peers' own virtual environments, made on first use, and their scripts in them."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# What a script reads and writes; see exchange.py.
SEQUENCES, LISTS = "sequences.npz", "lists.npz"


@dataclass(frozen=True)
class Peer:
    """key names its requirements (key.txt) and its script (key_sasrec.py)."""

    key: str
    title: str

    def python(self, place: Path) -> Path:
        """The interpreter of the environment under `place`, installed if it is not there yet or its pins changed."""
        folder = (place / self.key).resolve()
        pins = (HERE / f"{self.key}.txt").read_text()
        ready = folder / "installed.txt"
        interpreter = folder / "bin" / "python"
        if not ready.exists() or ready.read_text() != pins:
            print(f"installing {self.title} into {folder}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*install, "-r", str(HERE / f"{self.key}.txt")], check=True)
            ready.write_text(pins)
        return interpreter

    def measure(self, place: Path, folder: Path, arguments: dict[str, Any]) -> dict[str, float]:
        """What the peer's script says of the sequences in `folder`, where it leaves its lists.

        Raises CalledProcessError where it fails.
        """
        command = [str(self.python(place)), str(HERE / f"{self.key}_sasrec.py")]
        command += ["--sequences", str(folder / SEQUENCES), "--lists", str(folder / LISTS)]
        for name, value in arguments.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["OMP_NUM_THREADS"] = str(arguments["threads"])
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return measured


RECTOOLS = Peer("rectools", "RecTools 0.19.0 SASRec")
REPLAY = Peer("replay", "RePlay 0.22.0 SASRec")
