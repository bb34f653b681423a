"""A Slurm cluster on one machine: a controller and nodes that are namespaces, each with its own host name, network, process
table, /tmp and /dev/shm. All of a lab lies in one folder; labs in different folders know nothing of each other."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import stat
import subprocess
import time

import network
import slurm_conf

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PACKAGES = HERE / "debian_packages.txt"
CONTROLLER = "login"
MOST_NODES = 8


class LabError(Exception):
    """What went wrong, for the user."""


def install_command():
    packages = [line for line in PACKAGES.read_text().split("\n") if line and not line.startswith("#")]
    return "apt-get install --yes --no-install-recommends " + " ".join(packages)


def missing():
    """Why no lab can be made here, with the remedy; None when one can."""
    absent = [p for p in ("slurmctld", "slurmd", "srun", "sbatch", "munged") if shutil.which(p) is None]
    if absent:
        return f"no program {', '.join(absent)}: {install_command()}"
    try:
        pwd.getpwnam("munge")
    except KeyError:
        return f"no user munge: {install_command()}"
    return network.missing()


def start_ticks(pid):
    """When a process started, in ticks since boot; None when it is gone. Tells it from a later one of the same number."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def wait_for(what, condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.05)


class SlurmLab:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.tag = "be" + hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        self._load()

    def _load(self):
        self.state = {"nodes": [], "processes": {}}
        with contextlib.suppress(FileNotFoundError):
            self.state = json.loads((self.folder / "lab.json").read_text())

    @property
    def nodes(self):
        return self.state["nodes"]

    @property
    def network(self):
        hosts = [CONTROLLER, *self.nodes]
        return network.Network(f"{self.tag}-switch", {host: f"{self.tag}-{host}" for host in hosts})

    def _namespace(self, host):
        return self.network.namespaces[host]

    def _save(self):
        temporary = self.folder / "lab.json.tmp"
        temporary.write_text(json.dumps(self.state, indent=1))
        temporary.rename(self.folder / "lab.json")

    @contextlib.contextmanager
    def _locked(self):
        """One change at a time: two programs that bring up the same lab do it once."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(self.folder.parent / f".{self.folder.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._load()
            yield

    # Processes, each known by its number and its start.

    def _spawn(self, name, command, user=None):
        with open(self.folder / "log" / f"{name}.out", "a") as log:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True, cwd="/", env=self.environment(), user=user, group=user,
                                       extra_groups=[] if user else None)  # fmt: skip
        self.state["processes"][name] = [process.pid, start_ticks(process.pid)]
        self._save()

    def pid(self, name):
        """Of a running process of the lab; None when it does not run."""
        pid, ticks = self.state["processes"].get(name, (None, None))
        return pid if pid is not None and ticks is not None and start_ticks(pid) == ticks else None

    def _kill(self, name):
        pid = self.pid(name)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)  # where this process started it
        wait_for(f"the end of {name}, process {pid}", lambda: self.pid(name) is None, 10)

    # The whole.

    def up(self, num_nodes=2, cpus=2, gpus=2, shared=(), slurmd_timeout=10):
        """Brings all nodes up; a lab of the same shape that runs already is left alone, and its dead nodes are booted."""
        if (reason := missing()) is not None:
            raise LabError(reason)
        if not 1 <= num_nodes <= MOST_NODES:
            raise LabError(f"{num_nodes} nodes: 1 to {MOST_NODES} are possible")
        shared = sorted({str(pathlib.Path(p).resolve()) for p in (self.folder, REPOSITORY, *shared)})
        shape = {"cpus": cpus, "gpus": gpus, "shared": shared, "slurmd_timeout": slurmd_timeout}
        nodes = [f"n{i + 1}" for i in range(num_nodes)]
        with self._locked():
            if self.pid("slurmctld") and self.state.get("shape") == shape and self.nodes == nodes:
                for node in self.nodes:
                    if self.pid(node) is None:
                        self._boot(node)
                return
            self._check_parents()
            self._down()
            try:
                self._up(nodes, shape)
            except (LabError, RuntimeError, OSError, subprocess.CalledProcessError) as error:
                logs = self._ends_of_logs()
                self._down()
                raise LabError(f"{error}\n{logs}") from error

    def _up(self, nodes, shape):
        for name in ("etc", "state", "log", "run", "munge", "dev", "mount"):
            (self.folder / name).mkdir(parents=True)
        self.state = {"nodes": nodes, "processes": {}, "shape": shape}
        self._save()
        self.network.up()
        for gpu in range(shape["gpus"]):  # devices that swallow and give nothing stand for GPUs
            os.mknod(self.folder / "dev" / f"nvidia{gpu}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        slurm_conf.write(self.folder, self.network, CONTROLLER, **self.state["shape"], nodes=nodes)
        self._start_munge()
        conf = self.folder / "etc" / "slurm.conf"
        self._spawn("slurmctld", self._on_controller("slurmctld", "-f", conf, "-D", "-c"))
        wait_for("slurmctld", lambda: self.client("scontrol", "ping").returncode == 0, 15)
        for node in nodes:
            self._start_node(node)
        self.wait_until_idle()

    def _check_parents(self):
        for parent in self.folder.parents:
            if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH:
                raise LabError(f"{parent} is closed to others, and munged runs as user munge: take another folder for the lab")

    def _start_munge(self):
        folder, user = self.folder / "munge", pwd.getpwnam("munge")
        key = folder / "key"
        key.touch(mode=0o400)
        key.write_bytes(os.urandom(1024))
        for path in (folder, key):
            os.chown(path, user.pw_uid, user.pw_gid)
        folder.chmod(0o755)
        names = ("socket", "key-file", "log-file", "pid-file", "seed-file")
        files = [f"--{name}={folder / name.removesuffix('-file')}" for name in names]
        self._spawn("munged", ["munged", "--foreground", *files], user="munge")
        wait_for("munged", (folder / "socket").exists, 10)

    def wait_until_idle(self, seconds=30):
        def idle():
            done = self.client("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N")
            return set(done.stdout.split()) == set(self.nodes)

        wait_for(f"nodes {', '.join(self.nodes)} to be idle", idle, seconds)

    def down(self):
        """Ends and removes all of the lab, the folder with it. No lab there is no error."""
        with self._locked():
            self._down()
        (self.folder.parent / f".{self.folder.name}.lock").unlink(missing_ok=True)

    def _down(self):
        for name in reversed(list(self.state["processes"])):
            self._kill(name)
        self.network.down()
        if (self.folder / "lab.json").exists():
            shutil.rmtree(self.folder)
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise LabError(f"{self.folder}: holds files that are no lab's; give another folder")
        self.state = {"nodes": [], "processes": {}}

    def _ends_of_logs(self):
        text = ""
        for log in sorted((self.folder / "log").glob("*")):
            lines = log.read_text(errors="replace").splitlines()[-5:]
            text += "".join(f"{log.name}: {line}\n" for line in lines)
        return text

    # Nodes.

    def _known(self, node):
        if node not in self.nodes:
            raise LabError(f"no node {node}; this lab has {', '.join(self.nodes) or 'none: it is not up'}")

    def _start_node(self, node):
        (self.folder / "mount" / node).mkdir(exist_ok=True)
        unshare = ["unshare", "--uts", "--ipc", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
        slurmd = ["slurmd", "-f", self.folder / "etc" / "slurm.conf", "-N", node, "-D", "-c"]
        self._spawn(node, ["ip", "netns", "exec", self._namespace(node), *unshare, HERE / "node_init.sh", node,
                           self.folder / "mount" / node, *self.state["shape"]["shared"], "--", *slurmd])  # fmt: skip

    def crash(self, node):
        """Power off: the network goes silent, then every process of the node is gone, with its /tmp and /dev/shm."""
        self._known(node)
        with self._locked():
            self.network.drop(node)
            self._kill(node)

    def boot(self, node):
        self._known(node)
        with self._locked():
            if self.pid(node) is None:
                self._boot(node)

    def _boot(self, node):
        self.network.renew(node)
        self._start_node(node)

    # Being on a host.

    def environment(self):
        """A user's environment on the login host: jobs that sbatch starts inherit it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_", "PMI_", "SLURM_", "SBATCH_"))}
        return {**env, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf"), **slurm_conf.JOB_ENVIRONMENT}

    def _on_controller(self, *words):
        shell = f'hostname {CONTROLLER}; exec "$@"'
        return ["ip", "netns", "exec", self._namespace(CONTROLLER), "unshare", "--uts", "bash", "-c", shell, "-", *words]

    def _on_node(self, node, *words):
        self._known(node)
        outside = self.pid(node)
        children = pathlib.Path(f"/proc/{outside}/task/{outside}/children").read_text().split() if outside else []
        if not children:
            raise LabError(f"node {node} is down")
        return ["nsenter", "--target", children[0], "--mount", "--uts", "--ipc", "--net", "--pid", "--", *words]

    def command(self, host, *words):
        """What runs `words` on a host."""
        if not self.nodes:
            raise LabError(f"no lab in {self.folder}: bring it up first")
        words = self._on_controller(*words) if host == CONTROLLER else self._on_node(host, *words)
        return [str(word) for word in words]

    def run(self, host, *words, env=None, cwd=None, timeout=60):
        """A command on a host, to its end: CompletedProcess with text."""
        return subprocess.run(self.command(host, *words), env={**self.environment(), **(env or {})}, cwd=cwd,
                              timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, text=True)  # fmt: skip

    def client(self, *words, **options):
        """A command of Slurm's on the login host."""
        return self.run(CONTROLLER, *words, **options)
