"""The package on a running Debian: installed, used, upgraded, removed and purged."""

import subprocess

import pytest

API = "http://127.0.0.1:8765"
UNITS = "attestd.service attestd.socket attestd-proxy.service attestd-proxy.socket"
LATER = "/srv/later.deb"


@pytest.fixture(scope="module", autouse=True)
def put_back(installed):
    """For the tests of other files."""
    yield
    installed.must("dpkg -P attestd && dpkg -i /srv/files/attestd_*.deb")


@pytest.fixture(scope="module")
def later(installed, files, tmp_path_factory):
    """The same package with a later version, in the guest."""
    d = tmp_path_factory.mktemp("later")
    (deb,) = (p for name, p in files.items() if name.startswith("attestd_"))
    subprocess.run(["dpkg-deb", "-R", deb, d / "tree"], check=True)
    control = d / "tree/DEBIAN/control"
    lines = control.read_text().splitlines()
    (version,) = (i for i, line in enumerate(lines) if line.startswith("Version: "))
    lines[version] += "+later"
    control.write_text("\n".join(lines) + "\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", d / "tree", d / "later.deb"], check=True, capture_output=True)
    installed.put(LATER, (d / "later.deb").read_bytes())
    return lines[version].split()[1]


def test_the_installation_enables_and_starts_nothing(installed):
    assert installed.run(f"systemctl is-enabled {UNITS}").out.split() == ["disabled"] * 4
    assert installed.run(f"systemctl is-active {UNITS}").out.split() == ["inactive"] * 4
    assert installed.must("getent passwd attestd").split(":")[5:] == ["/var/lib/attestd", "/usr/sbin/nologin\n"]


def test_what_was_installed_is_sound(installed):
    # The guest's dpkg leaves documents out, as small images do.
    wrong = [line for line in installed.run("dpkg -V attestd").out.splitlines() if "/usr/share/" not in line]
    assert wrong == []
    installed.must("attestd config check --config /etc/attestd/attestd.conf")
    assert installed.must("attestd --version").startswith("attestd ")


def test_an_upgrade_starts_what_ran_again_and_keeps_sessions_and_settings(installed, later, user):
    installed.must("echo '# a change of mine' >>/etc/attestd/attestd.conf")
    installed.must("systemctl start attestd.socket attestd.service")
    installed.must(
        f"cd {user} && attestd session open --url {API} --key key.pem --root root.pem --any-enclave --out before.json"
    )
    pid = installed.show("MainPID")
    installed.must(f"dpkg -i {LATER} </dev/null")
    assert installed.must("dpkg-query -W -f '${Version}' attestd") == later
    assert installed.show("ActiveState") == "active" and installed.show("MainPID") != pid
    assert installed.show("ActiveState", "attestd.socket") == "active"
    said = installed.must(
        f"cd {user} && attestd session encrypt --session before.json |"
        f" curl -sS --fail-with-body -H 'Content-Type: application/json' -d @- {API}/decrypt",
        stdin="kept",
    )
    assert '"plaintext":"kept"' in said
    assert "a change of mine" in installed.must("cat /etc/attestd/attestd.conf")


def test_an_upgrade_starts_nothing_that_did_not_run(installed, later):
    installed.must("systemctl stop attestd.socket attestd.service")
    installed.must("dpkg -i /srv/files/attestd_*.deb </dev/null")
    assert installed.run(f"systemctl is-active {UNITS}").out.split() == ["inactive"] * 4


def test_a_removal_stops_it_and_keeps_what_is_the_users(installed):
    installed.must("systemctl start attestd.socket attestd.service && dpkg -r attestd")
    assert installed.run(f"systemctl is-active {UNITS}").out.split() == ["inactive"] * 4
    installed.must("test ! -e /usr/bin/attestd && test -s /etc/attestd/attestd.conf && test -s /var/lib/attestd/attestd.db")


def test_a_purge_leaves_nothing_but_the_user(installed):
    installed.must("dpkg -P attestd")
    left = installed.must(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /srv -o -path /var/lib/dpkg -o -path /var/log \\) -prune"
        " -o -name '*attestd*' -print; ls -A /run/attestd 2>/dev/null || true"
    )
    assert left.split() == []
    installed.must("getent passwd attestd")
