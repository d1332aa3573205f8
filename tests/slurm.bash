# A Slurm cluster of one node on the loopback address, for slurm.bats: cluster_start FOLDER, cluster_stop FOLDER. As root only.

cluster_start() {
	local d=$1 node k
	node=$(hostname -s)
	mkdir -p "$d/state" "$d/spool"
	chmod 755 "$d" "$d/state" "$d/spool"
	head -c 1024 /dev/urandom >"$d/munge.key"
	chmod 400 "$d/munge.key"
	munged --force --key-file "$d/munge.key" --socket "$d/munge.socket" --pid-file "$d/munge.pid" --log-file "$d/munge.log" --seed-file "$d/munge.seed" || return 1
	cat >"$d/slurm.conf" <<-END
		ClusterName=e3
		SlurmctldHost=$node(127.0.0.1)
		SlurmUser=root
		SlurmdUser=root
		AuthType=auth/munge
		AuthInfo=socket=$d/munge.socket
		CredType=cred/munge
		SlurmctldPort=$(port)
		SlurmdPort=$(port)
		StateSaveLocation=$d/state
		SlurmdSpoolDir=$d/spool
		SlurmctldPidFile=$d/slurmctld.pid
		SlurmdPidFile=$d/slurmd.pid
		SlurmctldLogFile=$d/slurmctld.log
		SlurmdLogFile=$d/slurmd.log
		ProctrackType=proctrack/pgid
		TaskPlugin=task/none
		JobAcctGatherType=jobacct_gather/none
		AccountingStorageType=accounting_storage/none
		MpiDefault=none
		SelectType=select/cons_tres
		SchedulerParameters=sched_interval=1,batch_sched_delay=0
		SlurmctldParameters=idle_on_node_suspend
		ReturnToService=2
		MinJobAge=300
		MaxArraySize=1001
		NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
		PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
	END
	export SLURM_CONF=$d/slurm.conf
	slurmctld -D >"$d/ctld.out" 2>&1 &
	echo $! >"$d/ctld.pid"
	slurmd -D -N "$node" >"$d/slurmd.out" 2>&1 &
	echo $! >"$d/d.pid"
	! wait_until 30 eval '[ "$(sinfo -h -o %T 2>/dev/null)" = idle ]' || return 0
	tail -n 5 "$d"/*.log "$d"/*.out
	return 1
}

cluster_stop() {
	local d=$1 f
	export SLURM_CONF=$d/slurm.conf
	scancel --state=PENDING --user=root 2>/dev/null || true
	for f in "$d/d.pid" "$d/ctld.pid" "$d/munge.pid"; do
		[ ! -s "$f" ] || kill "$(cat "$f")" 2>/dev/null || true
	done
	wait 2>/dev/null || true
}
