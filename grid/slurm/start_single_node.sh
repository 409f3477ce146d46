#!/usr/bin/env bash
# A real Slurm of one node, this machine, without accounting: for trying a grid before it goes to a cluster.
# As root on Debian or Ubuntu: bash grid/slurm/start_single_node.sh [stop]
# Settings and logs are in /etc/slurm/slurm.conf and /var/log/slurm; an slurm.conf that is there already is kept.
set -euo pipefail
conf=/etc/slurm/slurm.conf
ours="# Written by grid/slurm/start_single_node.sh"

stop() {
    for one in slurmd slurmctld munged; do
        pid=/run/grid-slurm/$one.pid
        [[ -f $pid ]] && kill "$(cat "$pid")" 2>/dev/null || true
        rm -f "$pid"
    done
}

[[ $EUID == 0 ]] || { echo "start it as root: Slurm's daemons start jobs as other users" >&2; exit 1; }
if [[ ${1:-start} == stop ]]; then
    stop
    exit 0
fi
command -v slurmctld slurmd munged sbatch >/dev/null || {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge
}
if [[ -f $conf ]] && ! grep -q "^$ours" "$conf"; then
    echo "$conf is somebody's own Slurm; it is left as it is. Use that one: make study PROFILE=slurm" >&2
    exit 1
fi

host=$(hostname -s)
cores=$(nproc)
memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
mkdir -p /run/grid-slurm /run/munge /var/log/slurm /var/lib/slurm/state /var/lib/slurm/spool /etc/slurm
chown munge: /run/munge
[[ -f /etc/munge/munge.key ]] || { dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 status=none; }
chown munge: /etc/munge/munge.key && chmod 400 /etc/munge/munge.key
# MinJobAge: finished jobs are listed by squeue for so many seconds, which is how Snakemake learns of their end
# where there is no accounting (sacct).
cat >"$conf" <<CONF
$ours
ClusterName=grid
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MinJobAge=3600
KillWait=5
SlurmctldPidFile=/run/grid-slurm/slurmctld.pid
SlurmdPidFile=/run/grid-slurm/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
StateSaveLocation=/var/lib/slurm/state
SlurmdSpoolDir=/var/lib/slurm/spool
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF

stop
sleep 1
runuser -u munge -- munged --force --pid-file=/run/munge/munged.pid
ln -sf /run/munge/munged.pid /run/grid-slurm/munged.pid
slurmctld
slurmd
for _ in $(seq 60); do
    if sinfo --noheader --format=%t 2>/dev/null | grep -qE "idle|mix|alloc"; then
        sinfo
        exit 0
    fi
    sleep 1
done
echo "Slurm did not come up within a minute; see /var/log/slurm" >&2
tail -5 /var/log/slurm/*.log >&2
exit 1
