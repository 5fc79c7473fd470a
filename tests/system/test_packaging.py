"""What is shipped agrees with itself: settings, their documentation, pins, containers."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
# Settled by the containers themselves.
FIXED_IN_CONTAINERS = {"GANTRY_DATA_DIR", "GANTRY_BIND", "PORT"}


def settings_read() -> set[str]:
    """Return the names that settings.py reads from the environment."""
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "gantry_site" / "settings.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).partition(".")[0] == "env"
    ]
    return {
        call.args[0].value
        for call in calls
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def pins(name: str) -> dict[str, str]:
    """Return the exact versions that a requirements file names, by canonical package name."""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith(("#", "-")):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{name} does not pin {line}"
            found[str(canonicalize_name(requirement.name))] = specifier.version
    return found


def compose() -> dict[str, Any]:
    """Return docker-compose.yml, its anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


class TestSettings:
    def test_each_one_is_documented(self) -> None:
        names = settings_read()
        assert "TABBY_HOST" in names
        documented = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
        assert names <= documented
        assert documented <= names, "documented, and read by nothing"

    def test_each_one_reaches_the_containers(self) -> None:
        for service in ("web", "worker", "beat", "migrate"):
            assert settings_read() <= set(compose()["services"][service]["environment"])

    def test_nothing_but_settings_reads_the_environment(self) -> None:
        readers = [
            path.relative_to(ROOT).as_posix()
            for package in ("gantry_site", "models_admin", "chat", "gateway")
            for path in (ROOT / package).rglob("*.py")
            if re.search(r"os\.environ(\[|\.get)|getenv", path.read_text())
        ]
        assert readers == []


class TestPins:
    def test_whatever_is_installed_has_an_exact_version(self) -> None:
        pinned = pins("constraints.txt")
        wanted = {**pins("requirements.txt"), **pins("requirements-dev.txt")}
        assert wanted.items() <= pinned.items()
        only_older = set() if sys.version_info < (3, 11, 3) else {"async-timeout"}
        for name in pinned.keys() - only_older:
            for text in requires(name) or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    assert canonicalize_name(needed.name) in pinned, f"{name} brings {needed.name} along"

    def test_the_tools_for_scripts_have_exact_versions_and_name_no_place(self) -> None:
        wanted = json.loads((ROOT / "package.json").read_text())["devDependencies"]
        locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
        assert wanted == {name: locked[f"node_modules/{name}"]["version"] for name in wanted}
        assert not [name for name, package in locked.items() if "resolved" in package]

    def test_they_name_no_place(self) -> None:
        for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
            lines = (ROOT / name).read_text().splitlines()
            assert not [line for line in lines if re.search(r"\s@\s|://|--index|--find-links", line)]


def accepted(*options: str) -> dict[str, Any]:
    """Return the services of docker-compose.yml as docker-compose understands them."""
    program = shutil.which("docker-compose")
    if program is None:
        hint = "no docker-compose here: apt-get install docker-compose"
        if os.environ.get("CI") == "true":
            pytest.fail(hint)
        pytest.skip(hint)
    # DOCKER_HOST: `config` needs no engine, and must not look for one.
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    checked = subprocess.run(
        [program, "--file", str(ROOT / "docker-compose.yml"), *options, "config"],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    services: dict[str, Any] = yaml.safe_load(checked.stdout)["services"]
    return services


class TestContainers:
    def test_docker_compose_accepts_the_file(self) -> None:
        services = accepted()
        always = {name for name, each in services.items() if not each.get("profiles")}
        assert always == {"web", "worker", "beat", "migrate", "redis", "postgres", "tabbyapi"}
        assert not [name for name in ("redis", "postgres", "tabbyapi") if "ports" in services[name]]

    def test_with_the_profile_there_are_two_tabbyapis_each_with_a_gpu_of_its_own(self) -> None:
        services, one = accepted("--profile", "two"), compose()["services"]["tabbyapi"]
        gpus = []
        for name in ("gpu1", "gpu2"):
            (device,) = services[name]["deploy"]["resources"]["reservations"]["devices"]
            gpus.append((device["device_ids"], services[name]["environment"]["NVIDIA_VISIBLE_DEVICES"]))
            assert "ports" not in services[name]
            assert (services[name]["image"], services[name]["volumes"]) == (
                one["image"],
                services["tabbyapi"]["volumes"],
            )
        assert gpus == [(["0"], "0"), (["1"], "1")]
        assert (
            f"TABBY_HOST={','.join(f'{name}=http://{name}:5000' for name in ('gpu1', 'gpu2'))}"
            in (ROOT / "docker-compose.yml").read_text()
        ), "as the file tells it"

    def test_the_image_runs_as_an_ordinary_user_with_the_pinned_packages(self) -> None:
        lines = (ROOT / "Dockerfile").read_text().splitlines()
        assert "COPY requirements.txt constraints.txt ./" in lines
        assert "USER gantry" in lines

    def test_no_secret_gets_into_the_image(self) -> None:
        left_out = (ROOT / ".dockerignore").read_text().splitlines()
        assert {".env", "var", ".git"} <= set(left_out)


class TestMake:
    def test_make_alone_lists_what_it_can_do(self) -> None:
        said = subprocess.run(
            ["make", "--no-print-directory"], cwd=ROOT, text=True, capture_output=True, check=True
        )
        targets = re.findall(r"^  make (\S+) +\S", said.stdout, re.MULTILINE)
        assert {"run", "test", "lint", "format", "screenshots", "clean"} <= set(targets)

    def test_a_broken_install_is_tried_again(self, tmp_path: Path) -> None:
        """`make run` with a Python whose first installation fails: it installs again, and starts."""
        for name in ("Makefile", "requirements.txt", "constraints.txt"):
            shutil.copy(ROOT / name, tmp_path)
        python = tmp_path / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(
            "#!/bin/sh\n"
            'echo "$*" >> said\n'
            'case "$*" in\n'
            '  *"pip install"*) [ -e failed-once ] || { touch failed-once; exit 1; };;\n'
            "esac\n"
        )
        python.chmod(0o755)
        # Its pauses between attempts are not waited for.
        quick = tmp_path / "bin"
        quick.mkdir()
        (quick / "sleep").write_text("#!/bin/sh\n")
        (quick / "sleep").chmod(0o755)
        environment = {**os.environ, "PATH": f"{quick}:{os.environ['PATH']}"}
        for _ in range(2):
            subprocess.run(["make", "run"], cwd=tmp_path, env=environment, check=True, capture_output=True)
        said = (tmp_path / "said").read_text().splitlines()
        assert [line.partition(" -r ")[0].split()[-1] for line in said if "manage.py" in line] == ["up", "up"]
        assert len([line for line in said if "pip install" in line]) == 2, "one failed, one did; no third"

    def test_a_broken_install_of_the_tools_for_scripts_is_tried_again(self, tmp_path: Path) -> None:
        """Twice `make lint` with an npm that fails at first: it installs again, and then no more."""
        for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "constraints.txt"):
            shutil.copy(ROOT / name, tmp_path)
        for name in ("package.json", "package-lock.json"):
            (tmp_path / name).touch()
        programs = ("python", "ruff", "mypy", "biome", "tsc", "sleep")
        scripts = dict.fromkeys((f".venv/bin/{name}" for name in programs), "")
        scripts |= dict.fromkeys((f"node_modules/.bin/{name}" for name in programs), 'echo "$0" >> said')
        scripts["bin/sleep"] = ""
        scripts["bin/npm"] = 'echo "npm $1" >> said; [ -e failed-once ] || { touch failed-once; exit 1; }'
        for name, script in scripts.items():
            program = tmp_path / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        for _ in range(2):
            subprocess.run(["make", "lint"], cwd=tmp_path, env=environment, check=True, capture_output=True)
        checked = ["node_modules/.bin/biome", "node_modules/.bin/tsc"]
        assert (tmp_path / "said").read_text().splitlines() == ["npm ci", "npm ci", *checked, *checked]

    @pytest.mark.parametrize(
        ("says", "status", "asked"),
        [
            ("No known vulnerabilities found", 0, True),
            ("Found 1 known vulnerability in 1 package", 1, True),
            ("ERROR: Django: Dependency not found on PyPI and could not be audited", 1, False),
            ("Max retries exceeded with url: /pypi/Django/json", 1, False),
        ],
        ids=["clean", "found", "not-found", "unreachable"],
    )
    def test_an_audit_that_could_not_ask_says_so(
        self, tmp_path: Path, says: str, status: int, *, asked: bool
    ) -> None:
        for name in ("Makefile", "constraints.txt"):
            shutil.copy(ROOT / name, tmp_path)
        for name, script in (("bin/python", ""), ("audit/bin/pip-audit", f"echo '{says}'; exit {status}")):
            program = tmp_path / ".venv" / name
            program.parent.mkdir(parents=True)
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        done = subprocess.run(["make", "audit"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (status == 0)
        assert says in done.stdout
        assert ("NOT AUDITED" not in done.stdout) == asked
