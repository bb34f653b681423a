"""The files of a lab's Slurm: slurm.conf and its companions, as text. Why each setting is there stands beside it."""

SLURM_CONF = """
ClusterName=lab
SlurmctldHost={controller}({controller_address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# Credentials that live 5 s make a requeued job eligible after 6 s instead of two minutes; less is
# refused.
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
# A node's /tmp is its own and empty after a crash: what Slurm leaves there of a dead node's steps
# is in no way of the next ones.
SlurmdSpoolDir=/tmp/.slurmd
TmpFS=/tmp
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile=/tmp/.slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
# Without systemd and cgroups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
MpiDefault=pmix
# A node that was lost is used again when it is back.
ReturnToService=2
SlurmdTimeout={slurmd_timeout}
SlurmctldTimeout=10
InactiveLimit=0
KillWait=5
MinJobAge=300
MessageTimeout=5
TCPTimeout=2
BatchStartTimeout=10
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
GresTypes=gpu
PropagateResourceLimitsExcept=MEMLOCK
# Every node claims the CPUs that it is given here, whatever the machine has.
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory=4000 Gres=gpu:{gpus} State=UNKNOWN
{nodes}
# `urgent` takes the nodes from jobs of `main`, which are told by their --signal and requeued.
PartitionName=main Nodes=ALL Default=YES MaxTime=1:00:00 DefaultTime=10 PriorityTier=1 GraceTime=10 State=UP
PartitionName=urgent Nodes=ALL MaxTime=1:00:00 DefaultTime=10 PriorityTier=10 PreemptMode=OFF State=UP
"""

# No requeue by exit code here: a batch script that relies on the cluster's RequeueExit would fail
# on most clusters.

CGROUP_CONF = "CgroupPlugin=cgroup/v1\n"  # never used; keeps slurmd from looking for a cgroup file system

# Variables of a job on these nodes, whose cores are the machine's own and shared: see README.md.
JOB_ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}

SITE = """# This lab, for `breakeven launch`: cluster.site in a config.
name: lab
partition: main
shared_paths: [{shared}]
local_scratch: /tmp
cores_per_node: {cpus}
gpus_per_node: {gpus}
environment:
{environment}
"""


def write(folder, network, controller, nodes, shared, cpus, gpus, slurmd_timeout):
    etc = folder / "etc"
    lines = "\n".join(f"NodeName={node} NodeAddr={network.address(node)}" for node in nodes)
    (etc / "slurm.conf").write_text(
        SLURM_CONF.format(
            controller=controller, controller_address=network.address(controller), folder=folder, nodes=lines,
            cpus=cpus, gpus=gpus, slurmd_timeout=slurmd_timeout))  # fmt: skip
    devices = f"{folder}/dev/nvidia[0-{gpus - 1}]"
    (etc / "gres.conf").write_text(f"NodeName={nodes[0]},{','.join(nodes[1:])} Name=gpu File={devices}\n")
    (etc / "cgroup.conf").write_text(CGROUP_CONF)
    environment = "\n".join(f'  {name}: "{value}"' for name, value in JOB_ENVIRONMENT.items())
    (folder / "site.yaml").write_text(
        SITE.format(shared=", ".join(map(str, shared)), cpus=cpus, gpus=gpus, environment=environment))
