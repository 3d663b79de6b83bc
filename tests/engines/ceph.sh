#!/bin/bash
# Runs a command beside a Ceph RGW of this machine: one monitor, one OSD in memory, one gateway, on
# loopback, in a temporary folder; all are stopped afterwards, by their process ids.
#
# usage: tests/engines/ceph.sh COMMAND...
#   COMMAND sees FT_TEST_S3="URL ACCESS_KEY SECRET_KEY". Exit status: the command's; 77 where Ceph's
#   packages are not installed (scripts/packages-engines.txt).
set -u
for p in ceph-mon ceph-osd radosgw radosgw-admin ceph-authtool monmaptool; do
    command -v $p >/dev/null || {
        echo "ceph.sh: no $p; make test-engines installs it"
        exit 77
    }
done

dir=$(mktemp -d /tmp/ft_ceph_XXXXXX)
pids=()
finish() {
    rc=$?
    trap - EXIT
    trap '' INT TERM
    # the gateway first: it waits for the others otherwise
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill "${pids[i]}" 2>/dev/null
        for _ in {1..50}; do kill -0 "${pids[i]}" 2>/dev/null && sleep 0.1 || break; done
        kill -9 "${pids[i]}" 2>/dev/null
        wait "${pids[i]}" 2>/dev/null
    done
    if [ $rc != 0 ] && [ $rc != 77 ] && [ -n "${FT_KEEP_CEPH:-}" ]; then
        echo "ceph.sh: kept $dir"
    else
        rm -rf "$dir"
    fi
    exit $rc
}
trap finish EXIT
trap 'exit 130' INT TERM

# A process that ends when this script does, even if that is killed.
mortal() { exec setpriv --pdeathsig KILL "$@"; }
free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
die() {
    echo "ceph.sh: $1" >&2
    tail -n 20 "$dir"/*.log >&2
    exit 1
}
# wait_for SECONDS WHAT COMMAND...: until it succeeds
wait_for() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || die "$what did not come"
        sleep 0.2
    done
}
alive() { kill -0 "${pids[-1]}" 2>/dev/null; }

mon_port=$(free_port) rgw_port=$(free_port)
access=ENGINEACCESSKEY secret=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
fsid=$(cat /proc/sys/kernel/random/uuid)
mkdir "$dir"/{mon,osd,rgw,run}
# Security between the daemons is off (no cephx, crc alone): they are this test's own, on loopback.
cat >"$dir/ceph.conf" <<END
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$mon_port
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind ipv6 = false
ms bind msgr1 = false
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir/run
admin socket = $dir/run/\$name.\$pid.asok
pid file =
log file = $dir/\$name.log
mon cluster log file =
crash dir = $dir
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon warn on pool no redundancy = false
mon max pg per osd = 2000
[mon]
mon data = $dir/mon
[osd]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
[client.rgw]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$rgw_port tcp_nodelay=1
rgw enable usage log = false
rgw thread pool size = 64
END
export CEPH_CONF="$dir/ceph.conf"
conf=(-c "$dir/ceph.conf")

monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$dir/monmap" >/dev/null || die "no monitor map"
ceph-mon "${conf[@]}" -i a --mkfs --monmap "$dir/monmap" 2>"$dir/mkfs.log" || die "ceph-mon --mkfs"
mortal ceph-mon "${conf[@]}" -i a -f 2>"$dir/mon.err.log" &
pids+=($!)
ceph=(ceph "${conf[@]}" --connect-timeout 5)
wait_for 60 "the monitor" "${ceph[@]}" mon stat
uuid=$(cat /proc/sys/kernel/random/uuid) # the monitor lets no OSD in that does not know its own
id=$("${ceph[@]}" osd new "$uuid" 2>>"$dir/mon.err.log") || die "osd new"
ceph-osd "${conf[@]}" -i "$id" --mkfs --osd-uuid "$uuid" 2>"$dir/osd.mkfs.log" || die "ceph-osd --mkfs"
mortal ceph-osd "${conf[@]}" -i "$id" -f 2>"$dir/osd.err.log" &
pids+=($!)
osd_is_up() { alive || die "the OSD ended"; "${ceph[@]}" osd stat | grep -q '1 up'; }
wait_for 60 "the OSD" osd_is_up
mortal radosgw "${conf[@]}" -n client.rgw -f 2>"$dir/rgw.err.log" &
pids+=($!)
rgw_is_up() { alive || die "the gateway ended"; curl -sf "http://127.0.0.1:$rgw_port/"; }
wait_for 120 "the gateway" rgw_is_up
radosgw-admin "${conf[@]}" -n client.rgw user create --uid ft --display-name ft \
    --access-key $access --secret-key "$secret" --max-buckets 0 >/dev/null 2>"$dir/user.log" || die "no user"

echo "ceph.sh: $(radosgw --version | cut -d' ' -f1-3) up in $SECONDS s"
FT_TEST_S3="http://127.0.0.1:$rgw_port $access $secret" "$@"
