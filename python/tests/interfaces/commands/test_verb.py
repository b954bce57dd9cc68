from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from deepscore.errors import InputError
from deepscore.interfaces.cli import deepscore as group
from deepscore.interfaces.cli import main
from deepscore.interfaces.commands import transfer
from deepscore.interfaces.commands.verb import NUMBERS, WORD, Setting, lines_of, names_of
from deepscore.model.config import NetworkConfig
from deepscore.training.config import TrainConfig
from deepscore.workflows.set_reference import ReferenceRequest


def verbs(command=group):
    """Yield every command below a group, with its path."""
    for one in command.commands.values():
        if isinstance(one, click.Group):
            yield from verbs(one)
        else:
            yield one


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_and_import_load_no_torch(arguments):
    script = (
        f"import sys, deepscore.interfaces.cli as c\ntry: c.main({arguments})\nfinally: print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert found.stdout.rstrip().endswith("False")
    assert found.returncode == 0


def test_the_commands_load_no_data_library():
    script = "import sys, deepscore.interfaces.cli; print({'torch', 'anndata', 'pandas', 'scipy'} & sys.modules.keys())"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


def test_every_setting_shows_the_default_of_the_engine():
    for verb in verbs():
        context = click.Context(verb)
        for option in verb.params:
            if isinstance(option, Setting):
                assert option.get_help_record(context) is not None, option
    text = CliRunner().invoke(group, ["train", "--help"], terminal_width=200).output
    assert "[default: 512,256,64]" in text
    assert "[default: --batchnorm]" in text
    assert "[default: 0.002]" in text


def test_train_has_every_setting_of_the_network_and_the_training():
    offered = {option.name for option in transfer.train.params}
    names = {field.name for kind in (NetworkConfig, TrainConfig, ReferenceRequest) for field in fields(kind)}
    assert names - offered == {"common_features", "progress"}  # --features, --quiet
    for option in transfer.train.params:
        if isinstance(option, Setting) and option.name in names:
            assert option.opts[0] == f"--{option.name.replace('_', '-')}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ()),
        ("--missing", ("",)),
        ("--missing NA - doublet -x", ("NA", "-", "doublet")),
        ("--missing NA --missing doublet", ("NA", "doublet")),
        ("--missing=NA", ("NA",)),
    ],
)
def test_an_option_may_take_several_words(line, words):
    found = []

    @click.command(cls=transfer.Verb)
    @click.option("--missing", cls=Setting, several=WORD)
    @click.option("-x", is_flag=True)
    def command(missing, x):
        found.extend((missing, x))

    with command.make_context("c", line.split()) as context:
        command.invoke(context)
    assert found == [words, "-x" in line]


@pytest.mark.parametrize(("line", "rest"), [("--nodes 64 32 data", "data"), ("data --nodes 64,32", "data")])
def test_numbers_end_where_no_number_follows(line, rest):
    @click.command(cls=transfer.Verb)
    @click.argument("data")
    @click.option("--nodes", cls=Setting, several=NUMBERS, callback=transfer._read_nodes)
    def command(data, nodes):
        return data, nodes

    with command.make_context("c", line.split()) as context:
        assert command.invoke(context) == (rest, (64, 32))


@pytest.mark.parametrize("arguments", [["--hidden-nodes", "many"], ["--hidden-nodes"], ["--epochs", "1.5"], ["--fly"]])
def test_wrong_use_is_told_and_left_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(["train", "ref.h5ad", "--labels", "l", "-o", "m", *arguments])
    assert left.value.code == 2
    assert "Error: " in capsys.readouterr().err


def test_what_is_typed_cannot_command_a_terminal(capsys):
    with pytest.raises(SystemExit):
        main(["inspect", "m", "a\x9bb"])
    assert "(a\\x9bb)" in capsys.readouterr().err


def test_lines_and_names_of_a_file(tmp_path):
    file = tmp_path / "names"
    file.write_bytes(b"A B\r\n\nC \n")
    assert lines_of(str(file)) == ["A B", "C "]
    with pytest.raises(InputError, match="one barcode in a line"):
        names_of(str(file))
    for heading in ("barcode\n", '"x"\n', ""):
        file.write_text(f'{heading}"AC-1"\nGT-1\n')
        assert names_of(str(file)) == ["AC-1", "GT-1"]
