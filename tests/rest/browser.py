"""A headless Chromium, driven over the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from pathlib import Path

import aiohttp
import attrs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@attrs.define
class Page:
    """One tab; ``events`` is what it has told so far."""

    socket: aiohttp.ClientWebSocketResponse
    session: str = ""
    events: list[dict] = attrs.field(factory=list)
    sent: int = 0

    async def call(self, method: str, **parameters):
        """Sends a command and returns its result."""
        self.sent += 1
        command = {"id": self.sent, "method": method, "params": parameters}
        await self.socket.send_json(command | ({"sessionId": self.session} if self.session else {}))
        async for message in self.socket:
            answer = json.loads(message.data)
            if answer.get("id") == self.sent:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self.events.append(answer)
        raise AssertionError(f"the browser ended before it answered {method}")

    async def open(self, url: str) -> None:
        """Navigates; every event since then is of this page."""
        self.events.clear()
        answer = await self.call("Page.navigate", url=url)
        assert "errorText" not in answer, answer

    async def run(self, script: str):
        """The value of a JavaScript expression, awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def wait_for(self, selector: str) -> str:
        """The text of the first element that fits, once there is one."""
        return await self.run(
            """new Promise(resolve => {
                const look = () => {
                    const found = document.querySelector(%s);
                    found ? resolve(found.innerText) : setTimeout(look, 20);
                };
                look();
            })"""
            % json.dumps(selector)
        )

    async def click(self, selector: str) -> None:
        """Clicks the first element that fits, once there is one."""
        await self.wait_for(selector)
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def resize(self, width: int, height: int) -> None:
        """As a screen of this size, in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    async def take_picture(self, path: Path) -> None:
        """Writes a PNG of the whole page."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def requests(self) -> list[str]:
        """The URL of everything the page asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """What the console shows as warnings and errors, refusals by policy among them."""
        return [
            event["params"]["entry"]["text"]
            for event in self.events
            if event["method"] == "Log.entryAdded"
            and event["params"]["entry"]["level"] in ("warning", "error")
        ]


async def start_browser(profile: Path) -> tuple[asyncio.subprocess.Process, str]:
    """Starts Chromium; returns the process and the address of its DevTools."""
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--remote-debugging-port=0",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async for line in process.stderr:
        _, found, address = line.decode().partition("DevTools listening on ")
        if found:
            return process, address.strip()
    raise AssertionError("Chromium did not start")


async def open_page(socket: aiohttp.ClientWebSocketResponse) -> Page:
    """A new tab that tells of its requests and complaints."""
    page = Page(socket)
    target = await page.call("Target.createTarget", url="about:blank")
    attached = await page.call("Target.attachToTarget", flatten=True, **target)
    page.session = attached["sessionId"]
    for domain in ("Page", "Network", "Log", "Runtime"):
        await page.call(f"{domain}.enable")
    return page
