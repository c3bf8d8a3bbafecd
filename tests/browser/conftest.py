"""A real Chromium before a real console process on the test database."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.test import override_settings
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.platform.console.furnishing import PASSWORD
from tests.processes import running_server

expect.set_options(timeout=60_000)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def console_address(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[str]:
    if chromium() is None:
        pytest.skip("no Chromium is installed")
    with running_server(tmp_path_factory.mktemp("console") / "console.log", "console") as address:
        yield address


@pytest.fixture(scope="session")
def browser(console_address: str) -> Iterator[Browser]:
    # Playwright's loop runs in this thread, and Django would refuse the database to code under a loop.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), headless=True, args=ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(browser: Browser, console_address: str) -> Iterator[Page]:
    """A laptop's window. The test fails when a script fails or anything outside the console is asked for."""
    context = browser.new_context(viewport={"width": 1360, "height": 850}, base_url=console_address)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: request.url.startswith(console_address) or problems.append(request.url))
    yield page
    context.close()
    assert not problems


@pytest.fixture
def log_in(page: Page) -> Callable[[str], None]:
    def log_in(email: str) -> None:
        page.goto("/")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/console/")

    return log_in


@contextmanager
def slow_hash() -> Iterator[None]:
    """Passwords as the console process checks them; the test process itself uses a faster hash."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"]):
        yield
