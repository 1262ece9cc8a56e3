"""Does in a fresh clone what the README says: its run command, then its two calls."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: So that it can run while something else has the usual ports.
PORTS = " --http-port 0 --grpc-port 0 --metrics-port 0"


def block(kind: str, name: str) -> str:
    """The text of the block after a marker."""
    found = re.search(rf"<!-- {kind}: {name} -->\n```\w+\n(.*?)\n```", README, re.DOTALL)
    if found is None:
        raise SystemExit(f"the README has no block marked {kind}: {name}")
    return found[1]


def listening(server: subprocess.Popen[str]) -> tuple[str, str]:
    """Reads the server's lines until it has started; returns its two ports."""
    ports = {}
    for line in server.stdout or ():
        print(line, end="", flush=True)
        if found := re.search(r"(REST|gRPC) server listening on \S+:(\d+)$", line.rstrip()):
            ports[found[1]] = found[2]
        if "Started with 1 model" in line:
            return ports["REST"], ports["gRPC"]
    raise SystemExit("the server ended before it had started")


def check(name: str, command: list[str], folder: Path) -> None:
    """Runs a call and compares what it prints with the README."""
    run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    if run.stdout.strip() != block("answer", name):
        raise SystemExit(f"{name} answered {run.stdout.strip()!r}, not as the README says")
    print(f"{name} answers as the README says")


def main() -> None:
    """Clones, runs, calls, stops."""
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary, "clone")
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        server = subprocess.Popen(
            [
                "bash",
                "-c",
                block("command", "run").replace(
                    "&& .venv/bin/mlserver", "&& exec .venv/bin/mlserver"
                )
                + PORTS,
            ],
            cwd=clone,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            http_port, grpc_port = listening(server)
            rest = block("call", "rest").replace(":8080", f":{http_port}")
            check("rest", ["bash", "-c", rest.replace("curl ", "curl -s ")], clone)
            grpc = block("call", "grpc").replace("8081", grpc_port)
            check("grpc", [str(clone / ".venv/bin/python"), "-c", grpc], clone)
        finally:
            server.send_signal(signal.SIGTERM)
            rest_of_lines, _ = server.communicate(timeout=60)
            print(rest_of_lines, end="")
        if server.returncode:
            sys.exit(f"the server ended with code {server.returncode}")


if __name__ == "__main__":
    main()
