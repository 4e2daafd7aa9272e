"""A headless Chromium over its debugging protocol: open a page, evaluate in it, emulate a phone, take a picture."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from authority.language.reading import FONTS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowDown": (40, ""), "ArrowUp": (38, ""), "a": (65, "")}
"""Keys by name: their code, and the text that they make."""
HELD = {"Shift": 8, "Control": 2}
"""Keys that are held while another is pressed."""


class Browser:
    """One tab of one Chromium with a profile of its own. A context manager; everything it started ends with it."""

    def __init__(self, profile: Path, timeout: float = 60) -> None:
        assert CHROMIUM is not None
        self._timeout = timeout
        self.messages: list[str] = []  # what the console and the content security policy complained of
        fonts = profile / "data" / "fonts"
        fonts.parent.mkdir(parents=True, exist_ok=True)
        if not fonts.is_symlink():
            fonts.symlink_to(FONTS)  # a machine for tests may have none for Thai
        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            env={**os.environ, "XDG_DATA_HOME": str(fonts.parent)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._numbers = itertools.count(1)
        self._connection: Any = None
        try:
            port_file = profile / "DevToolsActivePort"
            self._wait(lambda: port_file.exists() and len(port_file.read_text().split()) == 2, "Chromium did not start")
            port, path = port_file.read_text().split()
            self._connection = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=timeout)
            self._socket = self._connection.__enter__()
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self._call(f"{domain}.enable", session=True)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.__exit__(None, None, None)
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait(self, condition: Any, complaint: str) -> None:
        end = time.monotonic() + self._timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(complaint)
            time.sleep(0.05)

    def _call(self, method: str, *, session: bool = False, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv(timeout=self._timeout))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event.get("method") == "Log.entryAdded":
            self.messages.append(f"{parameters['entry']['level']}: {parameters['entry']['text']}")
        elif event.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.messages.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")

    def emulate(
        self,
        width: int,
        height: int,
        *,
        dark: bool = False,
        scripts: bool = True,
        scale: int = 1,
        printed: bool = False,
        forced: bool = False,
    ) -> None:
        """The screen, or the paper, on which pages are shown from now on; forced: in the system's own few colours."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            session=True,
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "forced-colors", "value": "active" if forced else "none"},
        ]
        self._call("Emulation.setEmulatedMedia", session=True, media="print" if printed else "", features=features)
        self._call("Emulation.setScriptExecutionDisabled", session=True, value=not scripts)

    def inject(self, script: str) -> None:
        """Run a script in every page before its own, as an extension of the browser does."""
        self._call("Page.addScriptToEvaluateOnNewDocument", session=True, source=script)

    def open(self, url: str) -> None:
        self._call("Page.navigate", session=True, url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        answer = self._call(
            "Runtime.evaluate", session=True, expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait for an expression to be true of a page that is there, whatever page comes in between."""

        def holds() -> bool:
            try:
                return bool(self.evaluate(f"document.body !== null && ({expression})"))
            except RuntimeError as error:
                if "navigated" in str(error) or "context" in str(error):  # Chromium: the page went while it was asked
                    return False
                raise

        self._wait(holds, f"never true: {expression}")

    def sign_in(self, cookie: str, address: str) -> None:
        """Come back to the pages at an address with the cookie of a session."""
        self._call("Network.setCookie", session=True, name="campus-here", value=cookie, url=address)

    def set_cookie(self, name: str, value: str, address: str) -> None:
        """Come back to the pages at an address with this cookie too."""
        self._call("Network.setCookie", session=True, name=name, value=value, url=address)

    def sign_out(self) -> None:
        """Forget all cookies."""
        self._call("Network.clearBrowserCookies", session=True)

    def press(self, key: str) -> None:
        """A key of KEYS goes down and up, such as Tab, or Shift+Tab."""
        held, _, key = key.rpartition("+")
        code, text = KEYS[key]
        more: dict[str, Any] = {"text": text} if text else {}
        more |= {"modifiers": HELD[held]} if held else {}
        if (held, key) == ("Control", "a"):
            more["commands"] = ["selectAll"]  # what the key does on a desktop is the desktop's
        for kind in ("keyDown", "keyUp"):
            self._call(
                "Input.dispatchKeyEvent",
                session=True,
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **more,
            )

    def write(self, text: str) -> None:
        """Put a text where the focus is, as one piece."""
        self._call("Input.insertText", session=True, text=text)

    def type(self, text: str) -> None:
        """Type a text by the keys of its letters where the focus is."""
        for letter in text:
            for kind, more in (("keyDown", {"text": letter}), ("keyUp", {})):
                self._call("Input.dispatchKeyEvent", session=True, type=kind, key=letter, **more)

    def keep_downloads(self, directory: Path) -> None:
        """Put what is downloaded there."""
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(directory))

    def tab_to(self, selector: str) -> None:
        """Press Tab until the focus is on what the selector matches."""
        for _ in range(60):
            if self.evaluate(f"document.activeElement.matches({selector!r})"):
                return
            self.press("Tab")
        raise AssertionError(f"the keyboard never reaches {selector}")

    def picture(self, path: Path, *, whole: bool = True, most: int = 0) -> None:
        """What the page looks like, as PNG, or as WebP where the name ends so.

        whole: beyond the screen too; most: no more than so many pixels of its height.
        """
        form: dict[str, Any] = {"format": "webp", "quality": 70} if path.suffix == ".webp" else {"format": "png"}
        if most:
            width, height = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
            form["clip"] = {"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
        answer = self._call("Page.captureScreenshot", session=True, captureBeyondViewport=whole, **form)
        path.write_bytes(base64.b64decode(answer["data"]))
