"""Nodes on one machine, so that mpirun starts ranks on all and a cable can be cut: the network of cluster/lab/. Nothing
touches the network of the machine itself. Needs root; `missing()` says what is not there."""

import itertools
import os
import pathlib
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cluster" / "lab"))

import network  # noqa: E402

NETSSH = """#!/bin/bash
# In place of ssh: netssh [options] HOST COMMAND... runs the command in HOST's namespace, under its name.
while [[ ${1-} == -* ]]; do case $1 in -[lpoiFbceSmWwEJLRDBIQO]) shift 2;; *) shift;; esac; done
host=$1; shift
exec ip netns exec "$host" unshare --uts --kill-child --fork bash -c "hostname $host; $*"
"""

NUMBERS = itertools.count()


def missing():
    if shutil.which("mpirun") is None:
        return "no program mpirun"
    return network.missing()


class Nodes:
    """`names` are the host names, and those of the namespaces; `command` starts a job on them."""

    def __init__(self, folder, count):
        tag = f"be{os.getpid()}x{next(NUMBERS)}"
        self.names = [f"{tag}n{i + 1}" for i in range(count)]
        self.agent = pathlib.Path(folder) / "netssh"
        self.agent.write_text(NETSSH)
        self.agent.chmod(self.agent.stat().st_mode | stat.S_IXUSR)
        self.network = network.Network(f"{tag}s", {name: name for name in self.names})
        self.network.up()

    def command(self, ranks_per_node, *words):
        """mpirun, started on the first node. Cores are shared: unbound, and idle ranks yield."""
        hosts = ",".join(f"{name}:{ranks_per_node}" for name in self.names)
        inside = ["mpirun", "--bind-to", "none", "--host", hosts, "-np", len(self.names) * ranks_per_node,
                  "--mca", "plm_rsh_agent", self.agent, "--mca", "mpi_yield_when_idle", 1,
                  "--mca", "oob_tcp_keepalive_time", 5, "--mca", "oob_tcp_keepalive_intvl", 2,
                  "--mca", "oob_tcp_keepalive_probes", 3, *words]  # fmt: skip
        name = self.names[0]
        shell = f'hostname {name}; exec "$@"'
        return [str(w) for w in ["ip", "netns", "exec", name, "unshare", "--uts", "bash", "-c", shell, name, *inside]]

    def cut(self, node):
        """Pulls the cable at the switch's side."""
        self.network.cut(self.names[node])

    def drop(self, node):
        """The switch forwards nothing any more; the carrier stays."""
        self.network.drop(self.names[node])

    def mend(self, node):
        self.network.mend(self.names[node])

    def slow(self, node, rate, **queue):
        self.network.rate(self.names[node], rate, **queue)

    def set(self, name, value):
        """A kernel's setting below /proc/sys/net, on both nodes."""
        for namespace in self.names:
            shell = f"echo {value} > /proc/sys/net/{name}"
            subprocess.run(["ip", "netns", "exec", namespace, "bash", "-c", shell], check=True)

    def close(self):
        self.network.down()


class TwoNodes(Nodes):
    def __init__(self, folder):
        super().__init__(folder, 2)
