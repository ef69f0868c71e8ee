#!/bin/sh
# Look for the medium that inst.stage2=hd:LABEL=... names, as udev spells labels.

stage2=$(getarg inst.stage2=)
case $stage2 in
    hd:LABEL=*)
        # shellcheck disable=SC2034 # dracut's
        root=stage2 rootok=1
        queue="/sbin/initqueue --settled --onetime --name stage2-%k /sbin/medium-found /dev/%k"
        printf 'ENV{DEVTYPE}=="disk", ENV{ID_FS_LABEL_ENC}=="%s", RUN+="%s"\n' \
            "${stage2#hd:LABEL=}" "$queue" >/etc/udev/rules.d/99-stage2.rules
        wait_for_dev -n /dev/root # which dmsquash-live-root makes
        ;;
esac
