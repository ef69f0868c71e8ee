#!/bin/sh
# Test the medium in a device if that is wanted, mount it and hand its runtime on.
# shellcheck source=/dev/null

command -v getarg >/dev/null || . /lib/dracut-lib.sh
command -v unpack_img >/dev/null || . /lib/img-lib.sh

device=$1
medium=/run/install/repo

[ ! -e /dev/root ] || exit 0
if getargbool 0 rd.live.check; then
    systemctl start "checkisomd5@$(dev_unit_name "$device").service" ||
        die "Media check failed!"
fi
mkdir -p $medium
mount -o ro "$device" $medium || exit 1
getargbool 0 rd.live.check && : >/run/install/checked # for the proof
listed=$(sed -n '/^\[stage2\]/,/^\[/s/^mainimage *= *//p' $medium/.treeinfo 2>/dev/null)
for image in $listed images/install.img LiveOS/squashfs.img; do
    [ ! -f "$medium/$image" ] || break
done
for overlay in updates product; do
    overlay=$medium/${image%/*}/$overlay.img
    [ ! -f "$overlay" ] || unpack_img "$overlay" /updates
done
exec /sbin/dmsquash-live-root "$medium/$image"
