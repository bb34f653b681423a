"""All-reduce beside MPI_Allreduce and gloo (torch.distributed), ranks of one machine, in one run and taking turns.

    .venv/bin/python tests/bench/allreduce_bench.py [--ranks 2] [--sizes 1000000,…] [--rounds 5] [--build build/release]
                                                    [--rewrite] [--plain] [--json] [--small]

Before anything is timed each of them must give the right values. In a round, for each size, `breakeven bench allreduce`
takes our back end and MPI_Allreduce (in place and out of place) in turns and says its medians; then gloo's processes, which
wait on a pipe meanwhile, do the same number of calls; the order of the two is reversed every other round. A figure is the
median over rounds; a ratio is taken round by round and its median given, with the smallest and largest. "MPI" is the better
of the two ways, size by size. Times are of the slowest rank.

gloo is what CPU training with torch.distributed gets: TCP over loopback, one thread. --rewrite lets every rank write its
buffer before each call, as backward does; --plain takes ours on memory that it did not allocate.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MPI = ("mpi_allreduce", "mpi_allreduce_out_of_place")


def gloo_worker(rank, world_size, port):
    """Answers lines "bytes repeats rewrite" on stdin with a line of seconds, one a call, or "wrong"."""
    import time

    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world_size)
    for line in sys.stdin:
        num_bytes, repeats, rewrite = (int(word) for word in line.split())
        count = max(1, num_bytes // 4)
        values = (torch.arange(count, dtype=torch.int32) % 7 + rank).float()
        expected = (torch.arange(count, dtype=torch.int32) % 7 * world_size + world_size * (world_size - 1) // 2).float()
        dist.all_reduce(values)
        right = torch.tensor([int(torch.equal(values, expected))])
        dist.all_reduce(right, op=dist.ReduceOp.MIN)
        values.zero_()
        calls = 1 if rewrite or num_bytes > 100_000 else 20
        seconds = []
        for repeat in range(repeats + 2):
            if rewrite:
                values.zero_()
            dist.barrier()
            begin = time.perf_counter()
            for _ in range(calls):
                dist.all_reduce(values)
            if repeat >= 2:
                seconds.append((time.perf_counter() - begin) / calls)
        slowest = torch.tensor(seconds, dtype=torch.float64)
        dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
        print(json.dumps(slowest.tolist() if right.item() else "wrong"), flush=True)


class Gloo:
    """Its processes live through the whole run: starting torch takes longer than measuring."""

    def __init__(self, ranks):
        import socket

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, __file__, "--gloo-worker"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.processes = [
            subprocess.Popen([*command, f"{rank},{ranks},{port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env=environment)
            for rank in range(ranks)
        ]

    def measure(self, num_bytes, repeats, rewrite):
        for process in self.processes:
            process.stdin.write(f"{num_bytes} {repeats} {int(rewrite)}\n")
            process.stdin.flush()
        answers = [process.stdout.readline() for process in self.processes]
        if not all(answers):
            sys.exit("a gloo process has ended")
        seconds = json.loads(answers[0])
        if seconds == "wrong":
            sys.exit(f"gloo gave wrong values at {num_bytes} bytes")
        return statistics.median(seconds)

    def close(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait(timeout=60)


def ours(arguments, num_bytes):
    """Medians by back end, and the CPU's name."""
    command = ["mpirun", "-n", str(arguments.ranks), "--bind-to", "none", "--oversubscribe"]
    if arguments.ranks > len(os.sched_getaffinity(0)):
        command += ["--mca", "mpi_yield_when_idle", "1"]
    command += [str(ROOT / arguments.build / "breakeven"), "bench", "allreduce", "--json"]
    settings = {
        "backends": f"[shared_memory,{','.join(MPI)}]",
        "sizes": f"[{num_bytes}]",
        "repeats": arguments.repeats,
        "seconds": 1000,
        "rewrite": str(arguments.rewrite).lower(),
        "memory": "plain" if arguments.plain else "allocated",
    }
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    if done.returncode != 0:
        sys.exit(f"breakeven bench allreduce ended with {done.returncode}:\n{done.stderr}")
    report = json.loads(done.stdout)
    wrong = [result for result in report["results"] if not result["correct"]]
    if wrong:
        sys.exit(f"wrong values: {wrong}")
    medians = {result["backend"]: result["seconds_median"] for result in report["results"]}
    return {"shared_memory": medians.pop("shared_memory_plain", medians.get("shared_memory")),
            **{name: medians[name] for name in MPI}}, report["cpu"]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def row(size, rounds):
    """rounds: a dict a round, back end -> median seconds."""
    best = [min(r[name] for name in MPI) for r in rounds]
    result = {"bytes": size}
    for name in ("shared_memory", *MPI, "gloo"):
        result[name] = spread([r[name] for r in rounds])
    result["mpi_over_ours"] = spread([b / r["shared_memory"] for b, r in zip(best, rounds)])
    result["gloo_over_ours"] = spread([r["gloo"] / r["shared_memory"] for r in rounds])
    return result


def short(seconds):
    for unit, scale in (("us", 1e-6), ("ms", 1e-3), ("s", 1)):
        if seconds < 999.5 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def print_table(rows, cpu, arguments):
    print(f"{arguments.ranks} ranks, float32, sum, {'plain memory' if arguments.plain else 'allocated memory'}, "
          f"{arguments.rounds} rounds of {arguments.repeats} repeats{', rewritten' if arguments.rewrite else ''}; {cpu}")
    print("all values were right; ratios: median of the rounds (smallest … largest)\n")
    print(f"{'bytes':>10} {'ours':>9} {'MPI':>9} {'MPI o.o.p.':>10} {'gloo':>9}   {'best MPI / ours':>22}   {'gloo / ours':>22}")
    for r in rows:
        ratio = [f"{x['median']:.2f} ({x['min']:.2f} … {x['max']:.2f})" for x in (r["mpi_over_ours"], r["gloo_over_ours"])]
        times = [short(r[name]["median"]) for name in ("shared_memory", *MPI, "gloo")]
        print(f"{r['bytes']:>10} {times[0]:>9} {times[1]:>9} {times[2]:>10} {times[3]:>9}   {ratio[0]:>22}   {ratio[1]:>22}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--sizes", default="1000,1000000,4000000,16000000,64000000,256000000,512000000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=10, help="samples a round")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rewrite", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--small", action="store_true", help="a few seconds: does it work")
    parser.add_argument("--gloo-worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.gloo_worker:
        return gloo_worker(*(int(word) for word in arguments.gloo_worker.split(",")))
    if arguments.small:
        arguments.sizes, arguments.rounds, arguments.repeats = "1000,1000000,16000000", 2, 5

    gloo = Gloo(arguments.ranks)
    rows, cpu = [], ""
    for size in (int(word) for word in arguments.sizes.split(",")):
        rounds = []
        for number in range(arguments.rounds):
            if number % 2 == 1:
                of_gloo = gloo.measure(size, arguments.repeats, arguments.rewrite)
            medians, cpu = ours(arguments, size)
            if number % 2 == 0:
                of_gloo = gloo.measure(size, arguments.repeats, arguments.rewrite)
            rounds.append({**medians, "gloo": of_gloo})
        rows.append(row(size, rounds))
    gloo.close()
    if arguments.json:
        print(json.dumps({"format": 1, "world_size": arguments.ranks, "cpu": cpu, "results": rows}, indent=2))
    else:
        print_table(rows, cpu, arguments)


if __name__ == "__main__":
    main()
