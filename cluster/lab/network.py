"""Hosts on one machine: network namespaces behind a bridge that has a namespace of its own, so that several networks can
use the same addresses and nothing touches the network of the machine itself. Needs root."""

import os
import pathlib
import shutil
import signal
import subprocess

NETNS = pathlib.Path("/etc/netns")  # `ip netns exec` shows the files of NETNS/NAMESPACE as those of /etc


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


def missing():
    """Why namespaces cannot be made here; None when they can."""
    for program in ("ip", "unshare", "nsenter"):
        if shutil.which(program) is None:
            return f"no program {program}: install iproute2 and util-linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"be{os.getpid()}probe"
    try:
        ip("netns", "add", probe)
        ip("-n", probe, "link", "add", "v", "type", "bridge")
        subprocess.run(["ip", "netns", "exec", probe, "unshare", "--uts", "--pid", "--fork", "--mount-proc", "true"],
                       check=True, capture_output=True, text=True)  # fmt: skip
    except subprocess.CalledProcessError as error:
        return f"no right to make network namespaces: {error.stderr.strip()}"
    finally:
        ip("netns", "del", probe, check=False)
    return None


class Network:
    """`namespaces`: host name → name of its namespace, which is the machine's and must be free. The object holds no state:
    one made with the same arguments in another process is the same network."""

    def __init__(self, switch, namespaces, subnet="10.78.0"):
        self.switch = switch
        self.namespaces = namespaces
        self._subnet = subnet

    def address(self, host):
        return f"{self._subnet}.{list(self.namespaces).index(host) + 1}"

    def _port(self, host):
        return f"p{list(self.namespaces).index(host)}"

    def up(self):
        try:
            self._build()
        except subprocess.CalledProcessError as error:
            self.down()
            raise RuntimeError(f"{' '.join(error.cmd)}: {error.stderr.strip()}") from error

    def _build(self):
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        ip("-n", self.switch, "link", "set", "br0", "up")
        names = "".join(f"{self.address(host)} {host}\n" for host in self.namespaces)
        for host, namespace in self.namespaces.items():
            self._connect(host)
            (NETNS / namespace).mkdir(parents=True, exist_ok=True)
            (NETNS / namespace / "hosts").write_text("127.0.0.1 localhost\n" + names)

    def _connect(self, host):
        namespace, port = self.namespaces[host], self._port(host)
        ip("netns", "add", namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("link", "add", "e0", "netns", namespace, "type", "veth", "peer", "name", port, "netns", self.switch)
        ip("-n", self.switch, "link", "set", port, "master", "br0", "up")
        ip("-n", namespace, "addr", "add", f"{self.address(host)}/24", "dev", "e0")
        ip("-n", namespace, "link", "set", "e0", "up")

    def cut(self, host):
        """Pulls the cable at the switch's side: the host loses its carrier."""
        ip("-n", self.switch, "link", "set", self._port(host), "down")

    def drop(self, host):
        """Loses every packet without a word: the carrier stays."""
        ip("-n", self.switch, "link", "set", self._port(host), "nomaster")

    def mend(self, host):
        ip("-n", self.switch, "link", "set", self._port(host), "master", "br0", "up")

    def renew(self, host):
        """A host without processes gets a network that knows nothing of its past, as when a machine boots. The old one would say
        goodbye on the connections of the dead, which a machine without power does not."""
        ip("-n", self.switch, "link", "del", self._port(host))
        ip("netns", "del", self.namespaces[host])
        self._connect(host)

    def rate(self, host, rate, burst="64kb", latency="50ms"):
        """What the host may send, as tc writes it: 100mbit, 1gbit. Both ways when all hosts have it."""
        subprocess.run(["ip", "netns", "exec", self.namespaces[host], "tc", "qdisc", "replace", "dev", "e0", "root",
                        "tbf", "rate", rate, "burst", burst, "latency", latency], check=True)  # fmt: skip

    def down(self):
        """Also ends what still runs in the namespaces. Nothing there is no error."""
        for namespace in [*self.namespaces.values(), self.switch]:
            for pid in ip("netns", "pids", namespace, check=False).stdout.split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            ip("netns", "del", namespace, check=False)
            shutil.rmtree(NETNS / namespace, ignore_errors=True)
