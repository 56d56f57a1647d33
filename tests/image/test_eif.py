"""The image file: what eif.py writes, and whether measure, which reads the file alone, agrees and refuses what is wrong."""

import hashlib
import json
import struct
import subprocess
import sys
import zlib

import eif
import pytest
from conftest import BUILD, IMAGE
from eif_file import HEAD, image, mended, sections

KERNEL, CMDLINE, FIRST, SECOND = b"a kernel", b"console=ttyS0", b"boots", b"application"
ABOUT = b'{"ImageName": "x"}'
# Of every image without a second ramdisk; users of nitro-cli meet it often.
NO_APPLICATION = "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"


@pytest.fixture
def measure(tmp_path):
    def run(data):
        path = tmp_path / "x.eif"
        path.write_bytes(data)
        return subprocess.run([IMAGE / "measure", path], capture_output=True, text=True, check=False)

    return run


def pcr(data):
    return hashlib.sha384(bytes(48) + hashlib.sha384(data).digest()).hexdigest()


def small():
    return eif.build(KERNEL, CMDLINE, [FIRST, SECOND], ABOUT)


def test_the_bytes_of_a_small_image_are_those_of_the_format():
    assert small() == image([(1, KERNEL), (2, CMDLINE), (5, ABOUT), (3, FIRST), (3, SECOND)])


def test_writer_and_measure_compute_what_the_definition_says(measure):
    wanted = {
        "HashAlgorithm": "Sha384 { ... }",
        "PCR0": pcr(KERNEL + CMDLINE + FIRST + SECOND),
        "PCR1": pcr(KERNEL + CMDLINE + FIRST),
        "PCR2": pcr(SECOND),
    }
    assert eif.measurements(KERNEL, CMDLINE, [FIRST, SECOND]) == {"Measurements": wanted}
    assert json.loads(measure(small()).stdout) == {"Measurements": wanted}


def test_the_digests_of_a_small_image_never_change(measure):
    told = json.loads(measure(small()).stdout)["Measurements"]
    assert told["PCR0"] == "d443112449b511fa3757219e3a7365b2df481d96b7089a6820d5b6d7815cbc72d066d327ce573ca3649fa194e8a066e1"


def test_without_an_application_pcr2_is_the_constant_that_all_such_images_have(measure):
    assert json.loads(measure(eif.build(KERNEL, CMDLINE, [FIRST], ABOUT)).stdout)["Measurements"]["PCR2"] == NO_APPLICATION


def test_as_many_ramdisks_as_fit_are_measured_in_their_order(measure):
    ramdisks = [b"ramdisk %d" % i for i in range(29)]
    told = json.loads(measure(eif.build(KERNEL, CMDLINE, ramdisks, ABOUT)).stdout)["Measurements"]
    assert told["PCR2"] == pcr(b"".join(ramdisks[1:]))
    with pytest.raises(struct.error):
        eif.build(KERNEL, CMDLINE, [*ramdisks, b"one more"], ABOUT)


def patched(at, form, value):
    data = bytearray(small())
    struct.pack_into(form, data, at, value)
    return mended(data)


LAST = len(small()) - len(SECOND) - 12
WRONG = {
    "magic": (patched(3, ">B", 0x67), "magic number"),
    "version": (patched(4, ">H", 3), "version is 3"),
    "flags": (patched(6, ">H", 1), "flags (0: x86-64) is 1"),
    "memory": (patched(8, ">Q", 0), "default memory"),
    "processors": (patched(16, ">Q", 3), "default number of processors"),
    "reserved": (patched(24, ">H", 1), "reserved"),
    "unused": (patched(540, ">I", 1), "unused"),
    "too few sections": (patched(26, ">H", 3), "3 sections"),
    "too many sections": (patched(26, ">H", 33), "33 sections"),
    "one section less": (patched(26, ">H", 4), "section 5, which there is not"),
    "one section more": (patched(26, ">H", 6), "offset of section 6"),
    "offset": (patched(28 + 8, ">Q", 549), "offset of section 2"),
    "size": (patched(284 + 16, ">Q", len(ABOUT) + 1), "size of section 3"),
    "unused offset": (patched(28 + 8 * 31, ">Q", 1), "section 32, which there is not"),
    "unused size": (patched(284 + 8 * 31, ">Q", 1), "section 32, which there is not"),
    "own size": (patched(LAST + 4, ">Q", len(SECOND) - 1), "size of section 5"),
    "section flags": (patched(LAST + 2, ">H", 1), "flags of section 5"),
    "kind": (patched(LAST, ">H", 6), "section 5 is of kind 6"),
    "a signature": (patched(LAST, ">H", 4), "section 5 is of kind 4"),
    "order": (image([(2, CMDLINE), (1, KERNEL), (5, ABOUT), (3, FIRST)]), "section 1 is of kind 2"),
    "no metadata": (image([(1, KERNEL), (2, CMDLINE), (3, FIRST), (3, SECOND)]), "section 3 is of kind 3"),
    "an empty section": (image([(1, KERNEL), (2, CMDLINE), (5, ABOUT), (3, FIRST), (3, b"")]), "section 5 is empty"),
    "bytes behind": (mended(small() + b"\0"), "1 bytes follow"),
    "cut off": (mended(small()[:-1]), "ends within section 5"),
    "cut off in a head": (mended(small()[: LAST + 11]), "ends within the head of section 5"),
    "cut off in the file's head": (small()[: HEAD - 1], "the head of an image 548"),
    "nothing": (b"", "it has 0 bytes"),
    "checksum": (small()[:544] + b"\0\0\0\0" + small()[548:], "checksum"),
    "contents": (small()[:-1] + b"X", "checksum"),
}


@pytest.mark.parametrize("what", WRONG)
def test_measure_refuses_a_file_with_a_wrong(what, measure):
    data, told = WRONG[what]
    done = measure(data)
    assert done.returncode == 1 and done.stdout == "" and told in done.stderr


@pytest.mark.parametrize("size", [2**40, 2**62, 2**64 - 1])
def test_measure_refuses_giant_sizes_before_it_counts_with_them(size, measure):
    data = bytearray(small())
    for at in (284 + 8 * 4, LAST + 4):
        struct.pack_into(">Q", data, at, size)
    done = measure(mended(data))
    assert done.returncode == 1 and "ends within section 5" in done.stderr


def test_the_metadata_has_no_time_and_what_nitro_cli_asks_for():
    kernel = bytearray(0x400)
    kernel[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", kernel, 0x20E, 0x100)
    kernel[0x300:0x310] = b"6.12.1-x (who) #"
    about = json.loads(eif.metadata("1.2.3", bytes(kernel)))
    assert set(about) == {"ImageName", "ImageVersion", "BuildMetadata", "DockerInfo", "CustomMetadata"}
    assert about["BuildMetadata"] == {
        "BuildTime": "1970-01-01T00:00:00Z",
        "BuildTool": "attestd",
        "BuildToolVersion": "1.2.3",
        "OperatingSystem": "Linux",
        "KernelVersion": "6.12.1-x",
    }


def test_of_a_kernel_that_says_no_version_none_is_told():
    assert eif.kernel_version(b"short") == eif.kernel_version(bytes(0x400)) == "unknown"


@pytest.fixture
def write(tmp_path):
    for name in ("k", "a", "b"):
        (tmp_path / name).write_bytes(b"x")

    def run(cmdline):
        env = {"PATH": "/usr/bin:/bin", "EIF_CMDLINE": cmdline}
        done = subprocess.run(
            [sys.executable, IMAGE / "eif.py", "out", "1", "k", "a", "b"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == (tmp_path / "out").exists()
        return done

    return run


def test_a_command_line_is_as_long_as_the_kernel_takes_it(write, tmp_path):
    done = write("x" * 2048)
    assert done.returncode == 1 and "the kernel takes 2047" in done.stderr
    assert write("x" * 2047).returncode == 0 and sections((tmp_path / "out").read_bytes())[1] == (2, b"x" * 2047)


def test_without_a_command_line_no_image_is_written(write):
    done = write(" ")
    assert done.returncode == 1 and "command line" in done.stderr


def test_the_image_that_was_built_holds_what_was_put_in():
    data = (BUILD / "attestd.eif").read_bytes()
    kinds = [kind for kind, _ in sections(data)]
    assert kinds == [1, 2, 5, 3, 3]
    assert zlib.crc32(data[:544] + data[HEAD:]) == int.from_bytes(data[544:548], "big")
    told = json.loads((BUILD / "attestd.eif.json").read_text())["Measurements"]
    kernel, cmdline, _, first, second = (part for _, part in sections(data))
    assert (told["PCR0"], told["PCR1"], told["PCR2"]) == (pcr(kernel + cmdline + first + second), pcr(kernel + cmdline + first), pcr(second))
