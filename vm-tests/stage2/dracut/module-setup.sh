#!/bin/bash
# A stand-in for Anaconda's dracut module, made from what is published of that one: which arguments
# it takes, where it mounts a medium, what it looks for on it and in which order.
# Ours is no more than this directory. Real, and as the distribution has it: dracut and its hooks,
# udev, the media check (the unit that runs checkisomd5), unpack_img of img-lib, which unpacks
# overlays, dmsquash-live-root, which makes a root of the runtime, and dmsquash-live's hook
# that copies /updates over that root before the pivot.
# Not here: inst.repo, inst.ks, media by network, ISO files on disks, partitions.

check() {
    return 255
}

depends() {
    echo dmsquash-live img-lib livenet
}

install() {
    inst_multiple sed mount
    # shellcheck disable=SC2154 # dracut's
    inst_hook cmdline 27 "$moddir/parse-stage2.sh"
    inst_script "$moddir/medium-found.sh" /sbin/medium-found
}
