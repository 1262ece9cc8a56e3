"""The documentation pages in a real browser: a headless Chromium, driven over DevTools."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import attrs
import pytest
from aiohttp import web

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_FOR = """new Promise(resolve => {
    const look = () => {
        const found = document.querySelector(SELECTOR);
        found ? resolve(found.innerText) : setTimeout(look, 20);
    };
    look();
})"""
INFER = "#operations-inference-model_infer"

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"
    ),
    pytest.mark.timeout(120),
]


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
        return await self.run(WAIT_FOR.replace("SELECTOR", json.dumps(selector)))

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

    def asked(self) -> list[str]:
        """Host and path of everything the page asked for, but for what is in the page itself."""
        urls = [
            urlsplit(event["params"]["request"]["url"])
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url.netloc + url.path for url in urls if url.scheme != "data"]

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


@pytest.fixture
async def page(tmp_path):
    process, address = await start_browser(tmp_path / "profile")
    try:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield await open_page(socket)
    finally:
        process.terminate()
        await process.communicate()


async def try_infer(page: Page) -> tuple[str, str]:
    """Opens the call, tries it out as it is shown; returns status and body of the answer."""
    await page.click(f"{INFER} .opblock-summary-control")
    await page.click(f"{INFER} .try-out__btn")
    await page.click(f"{INFER} .execute")
    answer = f"{INFER} .live-responses-table tbody"
    status = await page.wait_for(f"{answer} .response-col_status")
    return status.strip(), await page.wait_for(f"{answer} .highlight-code code")


async def test_model_can_be_asked_from_its_page_and_nothing_leaves_the_server(page, shared_server):
    await page.open(f"{shared_server.url}/v2/models/sum/docs")
    assert "Data Plane for Model sum" in await page.wait_for(".info .title")
    assert await page.wait_for(f"{INFER} .opblock-summary-path") == "/v2/models/sum/infer"
    status, body = await try_infer(page)
    assert status == "200"
    assert json.loads(body)["outputs"][0]["data"] == [1.0]
    host = f"127.0.0.1:{shared_server.http_port}"
    assert page.asked() == [
        f"{host}/v2/models/sum/docs",
        f"{host}/v2/docs/static/swagger-ui.css",
        f"{host}/v2/docs/static/docs.css",
        f"{host}/v2/docs/static/swagger-ui-bundle.js",
        f"{host}/v2/docs/static/docs.js",
        f"{host}/v2/models/sum/docs/dataplane.json",
        f"{host}/v2/models/sum/infer",
    ]
    assert page.complaints() == []


@pytest.mark.parametrize("width", [1280, 390])
async def test_server_page_shows_every_call_and_fits_the_screen(page, shared_server, width):
    await page.resize(width, 800)
    await page.open(f"{shared_server.url}/v2/docs")
    await page.wait_for(".opblock")
    shown = await page.run("document.querySelectorAll('.opblock').length")
    document = json.loads(
        await page.run("fetch('/v2/docs/dataplane.json').then(answer => answer.text())")
    )
    assert shown == sum(len(operations) for operations in document["paths"].values())
    assert await page.run("document.documentElement.scrollWidth") <= width
    assert page.complaints() == []


async def test_w59_page_works_behind_a_proxy_that_strips_a_prefix(page, serve, models_folder):
    server = serve(models_folder, MLSERVER_ROOT_PATH="/ml")

    async def forward(request: web.Request) -> web.Response:
        url = server.url + request.match_info["rest"]
        body = await request.read()
        async with session.request(request.method, url, data=body) as answer:
            kept = {"Content-Type", "Content-Security-Policy"} & set(answer.headers)
            headers = {name: answer.headers[name] for name in kept}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    proxy = web.Application()
    proxy.router.add_route("*", "/ml{rest:/.*}", forward)
    runner = web.AppRunner(proxy)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host = f"127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            await page.open(f"http://{host}/ml/v2/models/sum/docs")
            status, _ = await try_infer(page)
    finally:
        await runner.cleanup()
    assert status == "200"
    assert len(page.asked()) == 7
    assert all(url.startswith(f"{host}/ml/v2/") for url in page.asked())
    assert page.complaints() == []


async def test_page_without_the_extra_fits_a_phone(page, serve, tmp_path, models_folder):
    (tmp_path / "flask_swagger_ui").mkdir()
    (tmp_path / "flask_swagger_ui" / "__init__.py").touch()
    server = serve(models_folder, PYTHONPATH=str(tmp_path))
    await page.resize(390, 800)
    await page.open(f"{server.url}/v2/models/sum/docs")
    assert await page.wait_for("h1") == "Data Plane for Model sum"
    assert await page.wait_for("dt code") == "/v2/models/sum/infer"
    assert await page.run("document.documentElement.scrollWidth") == 390
    assert len(page.asked()) == 2
    assert page.complaints() == []
