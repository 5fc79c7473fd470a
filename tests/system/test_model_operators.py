"""The group that is ready for whoever runs the models: made once, and from then on the administrator's."""

from __future__ import annotations

from pathlib import Path

from support.preloaded import preloaded

from system.running import environment

GROUP = "Model operators"
SHOW = """
from django.contrib.auth.models import Group, Permission
for group in Group.objects.all():
    print(group.name, *sorted(f"{p.content_type.model}.{p.codename}" for p in group.permissions.all()))
"""


def manage(folder: Path, *argv: str) -> str:
    """Run a command on the database in `folder`; return what it wrote."""
    done = preloaded.manage(*argv, env=environment(folder, 8000))
    done.check_returncode()
    return done.stdout


def groups(folder: Path, change: str = "") -> list[str]:
    """The groups, each with its permissions, after a change by an administrator."""
    return manage(
        folder, "shell", "--no-imports", "-c", f"{SHOW.splitlines()[1]}\n{change}\n{SHOW}"
    ).splitlines()


def test_it_is_made_once_and_what_is_changed_stays_changed(tmp_path: Path) -> None:
    manage(tmp_path, "migrate", "-v0")
    ready = f"{GROUP} switch.view_switch tabbymodel.manage tabbymodel.switch tabbymodel.unload tabbymodel.view_tabbymodel"
    fewer = ready.replace(" tabbymodel.manage", "")
    assert groups(tmp_path) == [ready]
    taken = "Group.objects.get().permissions.remove(Permission.objects.get(codename='manage'))"
    assert groups(tmp_path, taken) == [fewer]
    manage(tmp_path, "migrate", "-v0")
    renamed = "Group.objects.update(name='GPU people')"
    assert groups(tmp_path, renamed) == [fewer.replace(GROUP, "GPU people")]
    manage(tmp_path, "migrate", "-v0")
    assert groups(tmp_path, "Group.objects.all().delete()") == []
    manage(tmp_path, "migrate", "-v0")
    assert groups(tmp_path) == []
