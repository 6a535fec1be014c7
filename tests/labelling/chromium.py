"""A real Chromium, a server in a process of its own, and a person at the keyboard."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.shared_data import REPOSITORY

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def driver():
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs Selenium")
    if _CHROMIUM is None or _DRIVER is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1200,800")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(_DRIVER))
    yield made
    made.quit()


class Server:
    """`tfodhelper label` in a process of its own."""

    def __init__(self, folder):
        command = [sys.executable, "-u", "-m", "tfodhelper", "label", f"--data_dir={folder}"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        text = ""
        while "Ctrl-C" not in text:
            line = self.process.stdout.readline()
            assert line, text
            text += line
        self.address = re.search(r"http://\S+", text)[0]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def finish(self):
        return self.process.communicate(timeout=30)[0]


@pytest.fixture
def start():
    """Starts a `Server` for a folder; none of them outlives the test."""
    started = []

    def start(folder):
        started.append(Server(folder))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.kill()


class Hands:
    """A person at the keyboard."""

    def __init__(self, driver):
        self._driver = driver

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self._driver).send_keys(*keys).perform()

    def press_with(self, modifier, key, times=1):
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self._driver).key_down(modifier)
        for _ in range(times):
            chain = chain.send_keys(key)
        chain.key_up(modifier).perform()

    def look(self):
        """What the page says: index, whether saved, boxes as (class, corners, confirmed, selected), message, name."""
        return self._driver.execute_script("""
            const text = (id) => document.getElementById(id).textContent;
            return {
              index: document.body.dataset.index, saved: text("saved"), message: text("message"), name: text("name"),
              counts: text("counts"), accepted: !document.getElementById("verified").hidden,
              boxes: [...document.querySelectorAll("#boxes li")].map((li) => ({
                name: li.querySelector(".name").textContent, corners: li.dataset.corners.split(" ").map(Number),
                confirmed: li.dataset.confirmed === "true", ignored: li.dataset.ignored === "true",
                detail: li.querySelector(".detail").textContent, selected: li.className === "selected"})),
            };""")

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while True:
            seen = self.look()
            if condition(seen):
                return seen
            assert time.monotonic() < end, seen
            time.sleep(0.02)

    def wait_saved(self):
        return self.wait(lambda seen: seen["saved"] == "saved")

    def wait_pictures(self, number):
        """Until so many pictures have been loaded since the page was opened: the shown ones, and the next one."""
        script = "return performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/picture')).length"
        self.wait(lambda seen: self._driver.execute_script(script) >= number)

    def open(self, address):
        self._driver.get(address)
        return self.wait(lambda seen: seen["index"] is not None)

    def accept(self):
        """Space, until the next image is shown; returns what is seen then."""
        before = self.look()["index"]
        self.press(" ")
        return self.wait(lambda seen: seen["index"] != before and seen["saved"] != "saving")
