"""Machines for a test: each has its own network, processes, home and /tmp, and is reached over SSH, as real ones are.

They are namespaces of Linux, so this needs root, iproute2, util-linux and OpenSSH's server.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

TOOLS = ("ip", "unshare", "mount", "sshd", "ssh", "ssh-keygen", "rsync")
MISSING = [tool for tool in TOOLS if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
MISSING += [] if os.geteuid() == 0 else ["root"]
if not MISSING and subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
    MISSING.append("network namespaces")
NETWORK = "10.231.77"
CONFIG = """Port 22
HostKey /tmp/host_key
AuthorizedKeysFile /tmp/key.pub
StrictModes no
PermitRootLogin yes
UsePAM no
PidFile none
MaxStartups 100
"""


@contextmanager
def machines(folder: Path, number: int) -> Iterator[list[str]]:
    """The addresses of so many machines, which this one reaches as root with the key in `folder`/ssh/key."""
    with ExitStack() as stack:
        ssh = folder / "ssh"
        ssh.mkdir(parents=True)
        (ssh / "sshd_config").write_text(CONFIG)
        for key in ("key", "host_key"):
            _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh / key))
        bridge = "batchscale"
        _do(*f"ip link add {bridge} type bridge".split())
        stack.callback(_do, *f"ip link del {bridge}".split())
        _do(*f"ip addr add {NETWORK}.1/24 dev {bridge}".split())
        _do(*f"ip link set {bridge} up".split())
        addresses = [f"{NETWORK}.{10 + each}" for each in range(number)]
        for each, address in enumerate(addresses):
            stack.enter_context(_machine(folder / f"machine{each}", f"batchscale{each}", bridge, address))
        for address in addresses:
            _wait_for(folder, address)
        yield addresses


@contextmanager
def _machine(folder: Path, name: str, bridge: str, address: str) -> Iterator[None]:
    folder.mkdir()
    _do(*f"ip netns add {name}".split())
    try:
        _do(*f"ip link add {name} type veth peer name eth0 netns {name}".split())
        _do(*f"ip link set {name} master {bridge} up".split())
        for words in (
            "link set lo up",
            f"addr add {address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {NETWORK}.1",
        ):
            _do(*f"ip -n {name} {words}".split())
        kept = {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2])}
        script = str(Path(__file__).with_name("machine.sh"))
        with (folder / "log.txt").open("w") as log:
            server = subprocess.Popen(
                ["ip", "netns", "exec", name, "unshare", "-mpf", "--mount-proc", "bash", script, str(folder), *kept],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (folder / "pid").write_text(str(server.pid))
        try:
            yield
        finally:
            lose(folder)
            server.wait(30)
    finally:
        # Said here, because the kernel takes its time with the links of a namespace that ends.
        subprocess.run(f"ip link del {name}".split(), capture_output=True)
        _do(*f"ip netns del {name}".split())


def _wait_for(folder: Path, address: str) -> None:
    """Wait until a machine can be reached."""
    for _ in range(60):
        tried = on(folder, address, "true", check=False)
        if not tried.returncode:
            return
        time.sleep(0.5)
    raise AssertionError(f"{address} cannot be reached: {tried.stdout}{tried.stderr}")


def lose(folder: Path) -> None:
    """End a machine at once: all of its processes end with its first one."""
    outside = int((folder / "pid").read_text())
    if psutil.pid_exists(outside):
        for first in psutil.Process(outside).children():
            first.send_signal(signal.SIGKILL)


def on(folder: Path, address: str, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command in a login shell of a machine, as `ray attach` gives one."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5"]
    words = [word for option in options for word in ("-o", option)]
    shell = ["ssh", "-tt", "-i", str(folder / "ssh" / "key"), *words, f"root@{address}"]
    return subprocess.run(
        [*shell, f"bash --login -i -c {shlex.quote(f'source ~/.bashrc 2> /dev/null; {command}')}"],
        check=check,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    assert not done.returncode, f"{' '.join(words)}: {done.stderr}"
