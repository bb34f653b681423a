"""Two nodes on one machine: network and UTS namespaces behind a bridge, so that mpirun starts ranks on both and a cable can
be cut. Nothing touches the network of the machine itself. Needs root; `missing()` says what is not there."""

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import stat
import subprocess

NETSSH = """#!/bin/bash
# In place of ssh: netssh [options] HOST COMMAND... runs the command in HOST's namespace, under its name.
while [[ ${1-} == -* ]]; do case $1 in -[lpoiFbceSmWwEJLRDBIQO]) shift 2;; *) shift;; esac; done
host=$1; shift
exec ip netns exec "$host" unshare --uts --kill-child --fork bash -c "hostname $host; $*"
"""

NUMBERS = itertools.count()


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


def missing():
    for program in ("ip", "unshare", "mpirun"):
        if shutil.which(program) is None:
            return f"no program {program}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"be{os.getpid()}p"
    try:
        ip("netns", "add", probe)
        ip("-n", probe, "link", "add", "v", "type", "bridge")
        subprocess.run(["ip", "netns", "exec", probe, "unshare", "--uts", "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        return f"no right to make network namespaces: {error.stderr.strip()}"
    finally:
        ip("netns", "del", probe, check=False)
    return None


class TwoNodes:
    """`names` are the host names; `command` starts a job on them."""

    def __init__(self, folder):
        self.tag = f"be{os.getpid()}x{next(NUMBERS)}"
        self.names = [f"{self.tag}n1", f"{self.tag}n2"]
        self.switch = f"{self.tag}s"
        self.agent = pathlib.Path(folder) / "netssh"
        self.agent.write_text(NETSSH)
        self.agent.chmod(self.agent.stat().st_mode | stat.S_IXUSR)
        try:
            self._build()
        except subprocess.CalledProcessError:
            self.close()
            raise

    def _build(self):
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        ip("-n", self.switch, "link", "set", "br0", "up")
        hosts = "127.0.0.1 localhost\n" + "".join(f"10.78.0.{i + 1} {name}\n" for i, name in enumerate(self.names))
        for i, name in enumerate(self.names):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("link", "add", "e0", "netns", name, "type", "veth", "peer", "name", f"p{i}", "netns", self.switch)
            ip("-n", self.switch, "link", "set", f"p{i}", "master", "br0", "up")
            ip("-n", name, "addr", "add", f"10.78.0.{i + 1}/24", "dev", "e0")
            ip("-n", name, "link", "set", "e0", "up")
            folder = pathlib.Path("/etc/netns") / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "hosts").write_text(hosts)

    def command(self, ranks_per_node, *words):
        """mpirun, started on the first node. Cores are shared: unbound, and idle ranks yield."""
        hosts = ",".join(f"{name}:{ranks_per_node}" for name in self.names)
        inside = ["mpirun", "--bind-to", "none", "--host", hosts, "-np", 2 * ranks_per_node,
                  "--mca", "plm_rsh_agent", self.agent, "--mca", "mpi_yield_when_idle", 1,
                  "--mca", "oob_tcp_keepalive_time", 5, "--mca", "oob_tcp_keepalive_intvl", 2,
                  "--mca", "oob_tcp_keepalive_probes", 3, *words]  # fmt: skip
        name = self.names[0]
        shell = f'hostname {name}; exec "$@"'
        return [str(w) for w in ["ip", "netns", "exec", name, "unshare", "--uts", "bash", "-c", shell, name, *inside]]

    def cut(self, node):
        """Pulls the cable at the switch's side."""
        ip("-n", self.switch, "link", "set", f"p{node}", "down")

    def drop(self, node):
        """The switch forwards nothing any more; the carrier stays."""
        ip("-n", self.switch, "link", "set", f"p{node}", "nomaster")

    def mend(self, node):
        ip("-n", self.switch, "link", "set", f"p{node}", "master", "br0", "up")

    def slow(self, node, rate):
        shape = ["tc", "qdisc", "replace", "dev", "e0", "root", "tbf", "rate", rate, "burst", "64kb", "latency", "50ms"]
        subprocess.run(["ip", "netns", "exec", self.names[node], *shape], check=True, capture_output=True)

    def close(self):
        for name in self.names:  # what still runs on a node that was cut off
            for pid in ip("netns", "pids", name, check=False).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for name in [*self.names, self.switch]:
            ip("netns", "del", name, check=False)
            shutil.rmtree(pathlib.Path("/etc/netns") / name, ignore_errors=True)
