"""The dashboard in a real browser, against a real device."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from running import RunningDevice

pytestmark = pytest.mark.needs("chromium", "bubblewrap")

PASSWORD = "correct horse battery"
# Chromium looks for its maker's hosts at every start: there is no need to.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDevice]:
    project = Path(__file__).parents[2]
    device = RunningDevice(tmp_path_factory.mktemp("dashboard") / "home", "process", ("DEVICE_NAME:Greenhouse",))
    device.start()
    for chute in ("hello", "clock"):
        device.run("deploy", str(project / "chutes" / chute))
    yield device
    assert device.stop() == 0


@pytest.fixture
def page(device: RunningDevice) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1100})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page
        browser.close()
        assert problems == []


def link(device: RunningDevice) -> str:
    return str(json.loads(device.run("dashboard", "--no-open", "--json"))["url"])


def login(device: RunningDevice, page: Page) -> None:
    """Set the first password, or come in by a link."""
    page.goto(link(device))
    if "#setup=" in page.url or page.get_by_test_id("first-form").is_visible():
        page.get_by_test_id("first-password").fill(PASSWORD)
        page.get_by_test_id("first-again").fill(PASSWORD)
        page.get_by_test_id("submit").click()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "connected")


def test_the_first_visit_sets_a_password_and_the_next_asks_for_it(device: RunningDevice, page: Page) -> None:
    login(device, page)
    assert "#" not in page.url
    page.get_by_test_id("logout").click()
    page.get_by_test_id("login-password").fill("not the password")
    page.get_by_test_id("submit").click()
    expect(page.get_by_test_id("login-error")).to_be_visible()
    page.get_by_test_id("login-password").fill(PASSWORD)
    page.get_by_test_id("submit").click()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "connected")


def test_what_the_device_does_is_seen_as_it_happens(device: RunningDevice, page: Page, project: Path) -> None:
    login(device, page)
    expect(page.get_by_test_id("device-name")).to_have_text("Greenhouse")
    card = page.get_by_test_id("chute-hello")
    expect(card.get_by_test_id("state").first).to_have_attribute("data-state", "running")

    card.get_by_role("button", name="Stop hello", exact=True).click()
    expect(card.get_by_test_id("state").first).to_have_attribute("data-state", "stopped")
    assert device.chute("hello")["state"] == "stopped"
    card.get_by_role("button", name="Start hello", exact=True).click()
    expect(card.get_by_test_id("state").first).to_have_attribute("data-state", "running")

    card.get_by_role("button", name="Log of hello", exact=True).click()
    device.run("call", "hello.greet", "Ada")
    expect(page.get_by_test_id("log-lines")).to_contain_text("Ada")

    device.run("restart", "hello")  # done elsewhere, seen here
    expect(page.get_by_test_id("change").first).to_have_attribute("data-kind", "restart")
    expect(page.get_by_test_id("change").first.get_by_test_id("state")).to_contain_text("done")

    pictures = project / "tests" / "artifacts"
    pictures.mkdir(exist_ok=True)
    page.screenshot(path=pictures / "dashboard.png")
    page.set_viewport_size({"width": 390, "height": 844})
    page.screenshot(path=pictures / "dashboard-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_chutes_page_is_shown_and_cannot_read_the_dashboards_token(device: RunningDevice, page: Page, project: Path) -> None:
    login(device, page)
    with page.expect_popup() as opened:
        page.get_by_test_id("chute-clock").get_by_test_id("web").click()
    clock = opened.value
    expect(clock.locator("body")).to_contain_text(":")
    assert clock.evaluate("window.origin") == "null"
    assert (
        clock.evaluate("(() => { try { return sessionStorage.length } catch (error) { return error.name } })()")
        == "SecurityError"
    )
    clock.screenshot(path=project / "tests" / "artifacts" / "clock.png")


def test_a_restarted_device_is_found_again(device: RunningDevice, page: Page) -> None:
    login(device, page)
    port = page.evaluate("location.port")
    device.stop()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "lost")
    device.settings = (*device.settings, f"PORTAL_SERVER_PORT:{port}")
    device.start()
    # Logins do not outlive the daemon: the page says so, and goes on after the next.
    expect(page.get_by_test_id("login-notice")).to_be_visible(timeout=30_000)
    page.get_by_test_id("login-password").fill(PASSWORD)
    page.get_by_test_id("submit").click()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "connected")
    expect(page.get_by_test_id("chute-hello").get_by_test_id("state").first).to_have_attribute("data-state", "running")
