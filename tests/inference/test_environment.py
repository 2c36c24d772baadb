"""The commit recorded with a run is skelemo's own."""

import subprocess

import skelemo
from skelemo.inference.environment import _git_commit


def test_the_commit_is_that_of_the_checkout_and_not_of_a_repository_around_an_installation(tmp_path, monkeypatch):
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, *author, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    monkeypatch.setattr(skelemo, "__file__", str(tmp_path / ".venv" / "skelemo" / "__init__.py"))
    assert _git_commit() is None
    (tmp_path / "skelemo").mkdir()
    monkeypatch.setattr(skelemo, "__file__", str(tmp_path / "skelemo" / "__init__.py"))
    head = subprocess.run(["git", "-C", tmp_path, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert _git_commit() == head.stdout.strip()
