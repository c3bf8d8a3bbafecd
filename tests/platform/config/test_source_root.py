"""`platform/` is a source root: a package of that name would hide Python's own module and break torch and Django."""

import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_folder_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_the_standard_library_wins_from_the_checkout() -> None:
    assert Path(platform.__file__).is_relative_to(sysconfig.get_path("stdlib"))
    program = "import platform; print(platform.system())"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == platform.system()
