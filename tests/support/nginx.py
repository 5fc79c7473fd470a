"""nginx in front of a Gantry, with what a test wants of its configuration."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from system.running import PATIENCE, free_port, until

UPGRADE = """
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
"""
HOST = "proxy_set_header Host $http_host;"
CONFIGURATION = """
daemon off;
user root;
pid nginx.pid;
error_log error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port};
    location {location} {{
      proxy_pass {upstream};
      proxy_buffering off;
      {lines}
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, upstream: str, lines: str = UPGRADE + HOST, location: str = "/") -> Iterator[str]:
    """Run nginx with its files in `folder`, in front of `upstream`, a URL; yield its own URL, without the location."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert binary, "There is no nginx on the PATH: apt-get install nginx"
    port = free_port()
    folder.mkdir(exist_ok=True)
    text = CONFIGURATION.format(port=port, upstream=upstream, lines=lines, location=location)
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen(
        [binary, "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "error.log")]
    )
    try:
        until(lambda: _answers(port), "nginx")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(port: int) -> bool:
    try:
        requests.get(f"http://127.0.0.1:{port}/", timeout=5, allow_redirects=False)
    except requests.ConnectionError:
        return False
    return True
