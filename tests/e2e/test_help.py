"""Help and man page: what a command accepts is what it tells of, and the page tells of every command."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import BUILD, RUNNER, clean_environment

ROOT = Path(__file__).resolve().parents[2]
OPTION = r"(?<![\w-])--[a-z-]+"


def attestd(*args):
    return subprocess.run([*RUNNER, BUILD / "attestd", *args], capture_output=True, text=True, timeout=60, check=False,
                          env=clean_environment())


def find(*words):
    """The commands below these words, as "session open", with the lines of their help."""
    said = attestd(*words, "--help")
    assert (said.returncode, said.stderr) == (0, "")
    if not said.stdout.startswith(" ".join(("usage: attestd", *words, "COMMAND"))):
        return {" ".join(words): said.stdout.splitlines()}
    names = re.findall(r"^  (\w+)  +\S", said.stdout, re.MULTILINE)
    return {k: v for name in names for k, v in find(*words, name).items()}


@pytest.fixture(scope="module")
def commands():
    found = find()
    assert {"serve", "verify", "session open", "simulate", "nsm", "config", "man"} <= found.keys()
    return found


def options(lines):
    """The options that a help lists, with whether they take a value."""
    rows = (re.match(r"  (--[a-z-]+)( [A-Z]\S*)?(  |$)", line) for line in lines)
    return {row[1]: row[2] is not None for row in rows if row}


def test_what_the_help_lists_is_accepted(commands):
    for name, lines in commands.items():
        assert "--help" in options(lines)
        for option, takes in options(lines).items():
            run = attestd(*name.split(), option, *(["1"] if takes else []), "--help")
            assert (run.returncode, run.stdout.splitlines()) == (0, lines), (option, run.stderr)
            run = attestd(*name.split(), option if takes else f"{option}=1")
            fault = f"{option} lacks its value" if takes else f"{option}=1 is no option"
            assert (run.returncode, run.stderr) == (2, f"attestd {name}: {fault}; see attestd {name} --help\n")


def test_what_the_help_does_not_list_is_refused(commands):
    every = {option for lines in commands.values() for option in options(lines)}
    for name, lines in commands.items():
        own = options(lines).keys()
        for option in (every | {option[:-1] for option in own}) - own:
            run = attestd(*name.split(), option, "--help")
            assert (run.returncode, run.stdout) == (2, ""), option
            assert run.stderr == f"attestd {name}: {option} is no option; see attestd {name} --help\n"


def test_what_is_given_twice_is_refused_unless_the_help_says_otherwise(commands):
    for name, lines in commands.items():
        for option in (option for option, takes in options(lines).items() if takes):
            run = attestd(*name.split(), option, "1", option, "2", "--help")
            if re.search(rf"^  {option} \S+\.\.\.(  |$)", "\n".join(lines), re.MULTILINE):
                assert run.returncode == 0, option
            else:
                assert (run.returncode, run.stdout) == (2, "")
                assert run.stderr == f"attestd {name}: {option} is given twice; see attestd {name} --help\n"


def test_no_option_takes_a_secret_as_its_value(commands):
    """Everybody on the machine reads the arguments of a program: keys, passphrases and texts come from files or pipes."""
    seen = set()
    for name, lines in commands.items():
        for row in filter(None, (re.match(r"  (--[a-z-]+) ([A-Z]\S*)(  |$)", line) for line in lines)):
            if re.search(r"key|pass|secret|token|text|message|session", row[1]):
                assert row[2] in ("FILE", "KEY.pem", "SESSION"), (name, row[0])  # each the name of a file
                seen.add(row[1])
        if name in ("session encrypt", "session decrypt"):
            assert re.findall(r"\[([A-Za-z.]+)\|-\]", " ".join(lines[:lines.index("")])) in (["FILE"] * 2, ["MESSAGE.json"] * 2)
    assert seen == {"--key", "--passphrase-file", "--session"}


def test_usage_and_examples_name_options_that_there_are(commands):
    for name, lines in commands.items():
        usage = " ".join(lines[:lines.index("")])
        examples = [line for line in lines if line.startswith("  attestd ")]
        assert all(line.startswith(f"  attestd {name}") for line in examples)
        assert set(re.findall(OPTION, " ".join([usage, *examples]))) <= options(lines).keys(), name


def test_help_is_80_columns_wide_and_says_what_the_exit_statuses_mean(commands):
    for name, lines in commands.items():
        assert lines[0].startswith(f"usage: attestd {name}")
        assert max(map(len, lines)) <= 80 and not any(line.endswith(" ") for line in lines)
        assert any(line.startswith("Exit status: 0 ") for line in lines)


def test_every_option_is_acted_upon(commands):
    sources = "".join(path.read_text() for path in (ROOT / "src" / "cmd").glob("*.c"))
    keys = re.findall(r"^CONFIG_\w+\((\w+),", (ROOT / "src" / "config" / "keys.def").read_text(), re.MULTILINE)
    told = re.findall(r'\{"(--[a-z-]+)",\s*(?:NULL|"[^"]*"),\s*"', sources)
    assert {option for lines in commands.values() for option in options(lines)} == set(told)
    for option in set(told) - {"--help"}:
        assert sources.count(f'"{option}"') > told.count(option) or option[2:] in keys, option


# ---- the man page ----

def page():
    run = attestd("man")
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def plain(roff):
    return roff.replace(r"\-", "-").replace(r"\fB", "").replace(r"\fI", "").replace(r"\fR", "").replace("\\&", "")


@pytest.mark.smoke
def test_the_page_has_its_sections():
    assert re.findall(r'^\.SH "(.*)"$', page(), re.MULTILINE) == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "CONFIGURATION", "FILES", "ENVIRONMENT", "EXIT STATUS", "EXAMPLES",
        "SEE ALSO"]
    version = attestd("--version").stdout.strip()
    assert re.search(rf'^\.TH ATTESTD 1 \d{{4}}-\d\d-\d\d "{version}" ', page(), re.MULTILINE)


def test_the_page_tells_of_every_command_and_each_of_its_options(commands):
    sections = dict(re.findall(r'^\.SS "attestd (.+)"\n((?:(?!\.S[SH]).*\n)*)', page(), re.MULTILINE))
    assert sections.keys() == commands.keys()
    for name, lines in commands.items():
        assert f'.SY "attestd {name}"\n' in page()
        told = re.findall(r"^\.TP\n(--[a-z-]+)", plain(sections[name]), re.MULTILINE)
        assert {*told, "--help"} == options(lines).keys()
        assert re.search(rf"^\.TP\n{name}\n0 ", plain(page()), re.MULTILINE), "its exit statuses"


def test_the_page_tells_of_every_key():
    keys = attestd("config", "show").stdout.splitlines()
    told = re.findall(r"^\.TP\n(\w+ = .*)$", plain(page()), re.MULTILINE)
    assert told == keys


def test_the_page_names_what_is_installed():
    files = plain(page()).partition('.SH "FILES"')[2].partition(".SH ")[0]
    names = [*(path.name for path in (ROOT / "systemd").iterdir() if path.suffix in (".service", ".socket")),
             *(f"/etc/attestd/{path.name}" for path in (ROOT / "configs").iterdir())]
    assert len(names) == 6 and [name for name in names if name not in files] == []


def test_no_command_lists_what_it_can_never_do(commands):
    """client and peer ask for a document of one purpose, or none, and judge it as of now."""
    for name, lines in commands.items():
        judges = name in ("verify", "attest", "session open")
        assert ({"--at", "--purpose"} <= options(lines).keys()) is judges, name
        assert ("--max-age" in options(lines)) is (judges or name in ("client", "peer")), name


def test_the_page_has_the_examples(commands):
    examples = [line[2:] for lines in commands.values() for line in lines if line.startswith("  attestd ")]
    shown = re.search(r"^\.EX\n(.*?)^\.EE", plain(page()), re.MULTILINE | re.DOTALL)[1]
    assert shown.splitlines() == examples and len(examples) > 3


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed, so the man page is not set")
def test_the_page_as_it_is_read_shows_what_the_help_shows(commands):
    run = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=200n", "-rHY=0"], input=page(),
                         capture_output=True, text=True, check=True)
    assert run.stderr == ""
    read = " ".join(run.stdout.split())
    for name, lines in commands.items():
        paragraphs = re.split(r"\n\n|\n(?=  \S)|(?<=\S)  +", "\n".join(lines))
        for text in (" ".join(p.split()).replace("`", "") for p in paragraphs if not p.startswith(("usage:", "Exit", "Exa"))):
            if name != "serve" and text not in ("--help", "this text"):
                assert text in read, (name, text)


def test_arguments_of_man_are_a_usage_error():
    run = attestd("man", "serve")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "attestd man: unexpected argument `serve`; see attestd man --help\n"


def install(tmp_path, program):
    build = tmp_path / "build"
    build.mkdir()
    shutil.copy(program, build / "attestd")
    return subprocess.run(["make", "-s", "-C", ROOT, "install-man", f"B={build}", f"DESTDIR={tmp_path}/root", "PREFIX=/opt/a"],
                          capture_output=True, text=True, timeout=60, check=False)


def test_make_install_puts_the_page_where_man_looks(tmp_path):
    run = install(tmp_path, BUILD / "attestd")
    assert run.returncode == 0, run.stderr
    installed = tmp_path / "root/opt/a/share/man/man1/attestd.1"
    assert installed.read_text() == page()
    assert installed.stat().st_mode & 0o777 == 0o644


def test_a_program_for_another_machine_is_installed_without_its_page(tmp_path):
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 57)
    foreign.chmod(0o755)
    run = install(tmp_path, foreign)
    assert run.returncode == 0 and "the man page is left out" in run.stdout, run.stderr
    assert not (tmp_path / "root").exists()
