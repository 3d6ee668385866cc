"""README and docs: their commands have options that the programs take, and name files that are
there."""
from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from ssma_core.cli import COMMANDS
from ssma_core.training.stages import read_training

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command that has a line of its own."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    command = r"^(?:\$ | {4})?((?:ssma [a-z-]+|python \w+/\w+\.py) .*)$"
    for line in re.findall(command, text, re.MULTILINE):
        yield shlex.split(line, comments=True)


def of_ssma() -> Iterator[tuple[str, list[str]]]:
    for page in PAGES:
        for words in commands(page):
            if words[0] == "ssma":
                yield page.name, words[1:]


@pytest.mark.parametrize(("page", "words"), [
    pytest.param(page, words, id=f"{page}:{' '.join(words)[:60]}") for page, words in of_ssma()])
def test_a_sub_command_takes_the_options_that_a_page_gives_it(page: str, words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"ssma_core.commands.{COMMANDS[words[0]][0]}").add_arguments(parser)
    parser.parse_args(words[1:])  # ends the test where it is not so


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_programs_configurations_and_models_are_there(page: Path) -> None:
    named = {word for words in commands(page) for word in words
             if re.match(r"(config|models|training|benchmarks)/", word)}
    assert not {name for name in named if not (ROOT / name).exists()}


def test_the_readmes_training_reads_what_is_synthesized_before_it() -> None:
    made, config = [], None
    for words in commands(ROOT / "README.md"):
        if words[:2] == ["ssma", "synthesize"]:
            made.append(Path(words[words.index("--output") + 1]))
        if words[1] == "training/train.py":
            config = ROOT / words[words.index("--config") + 1]
    assert config
    training = read_training(config)
    for folders in (training.data.train, training.data.validation):
        assert Path(folders.root) in [folder.parent for folder in made]
    stages = {stage.name for stage in training.stages}
    assert all(start in {"imagenet", *stages} for stage in training.stages
               for start in stage.start)
