"""Takes the screenshots of the documentation from a running demo, with Playwright and an installed Chromium.

    python docs/screenshots.py --email EMAIL --password PASSWORD [--tenant NAME] [--console ADDRESS]

`make demo` prints the login.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "screenshots"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
# File -> the list, whether its first row is opened, and the link that is followed there.
PAGES: dict[str, tuple[Any, ...]] = {
    "dashboard": ("/console/", False),
    "events": ("/console/behavior/event/", False),
    "quarantine": ("/console/behavior/quarantine/?status=open", False),
    "data-quality": ("/console/behavior/cleaningreport/", False),
    "training-run": ("/console/serving/trainingrun/?status=succeeded", True),
    "model-version": ("/console/serving/modelversion/?status=live", True),
    "decision": ("/console/decisions/decision/", True),
    "scenario": ("/console/decisions/scenario/?q=home", True),
    "scenario-kpi": ("/console/decisions/scenario/?q=home", True, "KPI"),
    "inbox": ("/console/service/conversation/", True),
    "service-report": ("/console/service/servicereport/", False),
    "ads-report": ("/console/ads/adreport/?by=flight", False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--console", default="http://127.0.0.1:8001", help="address of the console")
    parser.add_argument("--email", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--tenant", help="name of the tenant to show; the first one when left out")
    options = parser.parse_args()
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_path is None:
        sys.exit("No Chromium was found; install one, on Debian with: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1360, "height": 850}, base_url=options.console)
        log_in(page, options.email, options.password)
        if options.tenant:
            switch_to(page, options.tenant)
        for name, (address, opens_first, *link) in PAGES.items():
            take(page, name, address, opens_first, *link)
        browser.close()


def log_in(page: Page, email: str, password: str) -> None:
    page.goto("/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/console/")


def switch_to(page: Page, tenant: str) -> None:
    sidebar = page.locator("#nav-sidebar-inner")
    sidebar.get_by_text("unfold_more").first.click()
    sidebar.get_by_role("button", name=tenant).click()
    page.wait_for_load_state("networkidle")


def take(page: Page, name: str, address: str, opens_first: bool, link: str | None = None) -> None:
    page.goto(address)
    if opens_first:
        first = page.locator("#result_list tbody a").first
        if not first.count():
            print(f"{name}: left out, the list {address} is empty")
            return
        first.click()
    if link:
        page.get_by_role("link", name=link).click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png")
    print(f"{name}: {FOLDER / name}.png")


if __name__ == "__main__":
    main()
