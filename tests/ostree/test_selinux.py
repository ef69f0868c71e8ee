"""Labels by the image's own policy, judged by `ostree commit --selinux-policy`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from diskgen.errors import SourceError
from diskgen.gvariant import file_header
from diskgen.image.index import Entry, Kind
from diskgen.ostree import selinux
from diskgen.ostree.deploy import DeployRequest, Sysroot, deploy
from diskgen.ostree.facts import examine
from diskgen.ostree.labelling import label_sysroot
from diskgen.ostree.layertree import layer_tree
from diskgen.ostree.merge import merge
from diskgen.ostree.objects import ObjectSet
from diskgen.reference import parse
from diskgen.tree import Directory, File, Node, read

from ..fixtures.materialise import materialise
from ..fixtures.ostree_samples import (
    LABELS,
    TIMESTAMP,
    bootable,
    d,
    f,
    h,
    image,
    layer,
    ostree,
    s,
    write_tar,
)

RULES = b"""\
/.*                         system_u:object_r:default_t:s0
/                       -d  system_u:object_r:root_t:s0
/[^/]+                  --  system_u:object_r:etc_runtime_t:s0
/usr(/.*)?                  system_u:object_r:usr_t:s0
/usr/bin(/.*)?              system_u:object_r:bin_t:s0
/usr/bin/su             --  system_u:object_r:su_exec_t:s0
/usr/lib/modules(/.*)?      system_u:object_r:modules_object_t:s0
/usr/share/nothing.*        <<none>>
/usr/etc(/.*)?              system_u:object_r:usr_etc_t:s0
/etc(/.*)?                  system_u:object_r:etc_t:s0
/etc/shadow             --  system_u:object_r:shadow_t:s0
/var(/.*)?                  system_u:object_r:var_t:s0
/var/lib(/.*)?              system_u:object_r:var_lib_t:s0
/home                       -d  system_u:object_r:home_root_t:s0
/home/[^/]+                 -d  system_u:object_r:user_home_dir_t:s0
/home/[^/]+/.+              system_u:object_r:user_home_t:s0
/root(/.*)?                 system_u:object_r:admin_home_t:s0
/boot(/.*)?                 system_u:object_r:boot_t:s0
/lost\\+found            -d  system_u:object_r:lost_found_t:s0
/run/.*                     <<none>>
/proc                       <<none>>
/mnt(/.*)?                  system_u:object_r:mnt_t:s0
"""
POLICY = (
    d("etc/selinux/test/policy"),
    f("etc/selinux/config", b"# a comment\nSELINUX=enforcing\nSELINUXTYPE=test\n"),
    f("etc/selinux/test/policy/policy.33", b"binary"),
    f("etc/selinux/test/contexts/files/file_contexts", RULES),
    f("etc/selinux/test/contexts/files/file_contexts.subs_dist", b"/opt/bin /usr/bin\n"),
    f(
        "etc/selinux/test/contexts/files/file_contexts.local",
        b"/usr/share/local -d system_u:object_r:local_t:s0\n",
    ),
)
OTHERS = (
    f("usr/share/nothing-here"),
    d("usr/share/local"),
    f("usr/share/empty", b""),
    f("opt/bin/tool"),
    h("usr/share/hard", "usr/bin/su"),
    f("usr/bin/cap", xattrs=((b"user.w", b"1"), (b"user.x", b"2"))),
    f("usr/bin/old", xattrs=((b"security.selinux", b"wrong_t"),)),
    s("usr/bin/link", "sh"),
    f("run/dropped"),
)


def tree(*entries: Entry) -> Directory:
    return layer_tree(layer(*bootable(), *entries))[0]


def label_of(node: Node | None) -> str | None:
    assert node is not None
    found = dict(node.xattrs).get(b"security.selinux")
    if found is None:
        return None
    whole = re.fullmatch(rb"system_u:object_r:(\w+):s0\0", found)
    assert whole is not None, found
    return whole[1].decode()


def labelled(scratch: Path, *trees: Directory) -> list[Directory]:
    policy = selinux.read_policy(trees[0])
    assert policy is not None
    questions = [question for tree in trees for question in selinux.questions_of(tree)]
    return selinux.relabel(trees, selinux.ask(policy, questions, scratch), lambda _bytes: None)


def test_labels(tmp_path: Path) -> None:
    (made,) = labelled(tmp_path, tree(*POLICY, *OTHERS))
    for path, label in {
        "": "root_t",
        "usr": "usr_t",
        "usr/bin/sh": "bin_t",
        "usr/bin/su": "su_exec_t",
        "usr/share/hard": "usr_t",
        "usr/bin/old": "bin_t",
        "usr/bin/link": "bin_t",
        "usr/etc/shadow": "usr_etc_t",
        "usr/share/nothing-here": None,
        "usr/share/local": "local_t",
        "opt/bin/tool": "bin_t",
        "opt": "default_t",
        "proc": "mnt_t",
        "var/lib/state": "var_lib_t",
    }.items():
        assert label_of(made.get(path)) == label, path


def test_hard_links_stay_where_labels_agree(tmp_path: Path) -> None:
    plain = tree(*POLICY, *OTHERS)
    made, again = labelled(tmp_path, plain, plain)
    assert made.get("usr/bin/sh") is made.get("usr/bin/ash")
    assert made.get("usr/bin/su") is not made.get("usr/share/hard")
    assert made.get("usr/bin/sh") is again.get("usr/bin/sh")
    assert dict(plain.entries[b"usr"].xattrs) == {}  # the given tree stays as it was


def test_checksums_are_those_of_the_labelled_files(tmp_path: Path) -> None:
    (made,) = labelled(tmp_path, tree(*POLICY, *OTHERS))
    for path, node in made.walk():
        if isinstance(node, File):
            data = read(node.content) if node.content is not None else b""
            header = file_header(node.mode, node.uid, node.gid, node.target, node.xattrs)
            assert node.checksum == hashlib.sha256(header + data).digest(), path


def test_ostree_computes_the_same_commit(tmp_path: Path) -> None:
    """The real ostree labels the same tree from a tar, without root, and gets our checksums."""
    # An older ostree keeps the order of attributes: no second one beside the label. A hard link
    # has its target's label in the commit of a tar; in the merge commit every path has its own.
    simple = [e for e in OTHERS if not e.xattrs and e.kind is not Kind.HARDLINK]
    entries = [*bootable(), *POLICY, *simple]
    entries = [e for e in entries if not e.path.startswith(b"run/")]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (made,) = labelled(scratch, layer_tree(layer(*entries))[0])
    objects = ObjectSet()
    mine, meta = objects.add_tree(made)

    moved = [
        Entry(
            b"usr/" + e.path if e.path.split(b"/")[0] == b"etc" else e.path,
            e.kind, e.mode, e.uid, e.gid, e.mtime, e.xattrs, e.target, e.content, e.checksum,
        )
        for e in entries
    ]  # fmt: skip
    tar = write_tar(tmp_path / "layer.tar", moved)
    policy = tmp_path / "policy"
    for entry in POLICY:
        path = policy / entry.path.decode()
        if entry.content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read(entry.content))
    repo = tmp_path / "repo"
    ostree("init", f"--repo={repo}", "--mode=bare-user")
    commit = ostree(
        "commit", f"--repo={repo}", "--no-bindings", "--tar-autocreate-parents", "--branch=x",
        f"--tree=tar={tar}", f"--selinux-policy={policy}",
    ).strip()  # fmt: skip
    listed = ostree("ls", f"--repo={repo}", "-C", "-d", commit, "/").splitlines()[0]
    assert mine.hex() in listed
    assert meta.hex() in listed


def deployed(tmp_path: Path, *entries: Entry) -> Sysroot:
    (whole,) = labelled(tmp_path, merge([tree(*entries)])[0])
    facts = examine(whole, LABELS, "x86_64")
    assert facts.policy is not None
    made = deploy(
        DeployRequest(
            image=image(1),
            target=parse("quay.io/example/os:2"),
            origin=parse("quay.io/example/os:2").origin,
            stateroot="default",
            timestamp=TIMESTAMP,
            kargs=("rw",),
            boot_uuid="11111111-2222-3333-4444-555555555555",
        ),
        facts,
        whole,
        [whole],
    )
    label_sysroot(made, "default", facts.policy, tmp_path)
    return made


def test_nothing_of_a_machine_is_without_a_label(tmp_path: Path) -> None:
    conf = f("usr/lib/ostree/prepare-root.conf", b"[composefs]\nenabled=yes\n")
    made = deployed(tmp_path, *POLICY, conf)
    for whole in (made.root, made.boot):
        assert label_of(whole) is not None
        for name, node in whole.walk():
            assert label_of(node) is not None, name
    place = f"ostree/deploy/default/deploy/{made.commit}.0"
    for path, label in {
        "boot": "boot_t",
        "ostree": "usr_t",
        "ostree/repo/config": "usr_t",
        f"{place}.origin": "usr_t",
        place: "root_t",
        f"{place}/.ostree.cfs": "usr_t",
        f"{place}/etc": "etc_t",
        f"{place}/etc/shadow": "shadow_t",
        f"{place}/usr/etc/shadow": "usr_etc_t",
        f"{place}/usr/bin/su": "su_exec_t",
        "ostree/deploy/default/var": "var_t",
        "ostree/deploy/default/var/lib/state": "var_lib_t",
        "ostree/deploy/default/var/.ostree-selabeled": "var_t",
        f"ostree/deploy/default/backing/{made.commit}.0/root-transient/upper": "root_t",
        ".bootc-aleph.json": "etc_runtime_t",
        "lost+found": "lost_found_t",
    }.items():
        assert label_of(made.root.get(path)) == label, path
    assert label_of(made.boot) == "boot_t"
    assert label_of(made.boot.get("loader.1/entries/ostree-1.conf")) == "boot_t"


def test_homes_are_labelled_by_the_name_that_accounts_have_for_them(tmp_path: Path) -> None:
    """As useradd does: this policy knows nothing of /var/home."""
    links = (s("home", "var/home"), s("root", "/var/roothome"))
    files = (d("var/home/ann"), f("var/home/ann/.profile", b""), f("var/roothome/key", b""))
    made = deployed(tmp_path, *POLICY, *links, *files)
    place = "ostree/deploy/default/var"
    for path, label in {
        "home": "var_t",  # as systemd-tmpfiles would make it
        "home/ann": "user_home_dir_t",
        "home/ann/.profile": "user_home_t",
        "roothome/key": "admin_home_t",
    }.items():
        assert label_of(made.root.get(f"{place}/{path}")) == label, path


@pytest.mark.root
def test_the_repository_is_whole(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    made = deployed(tmp_path / "scratch", *POLICY, *(e for e in OTHERS if not e.xattrs))
    materialise(made.root, tmp_path / "root")
    assert "objects" in ostree("fsck", f"--repo={tmp_path}/root/ostree/repo")


@pytest.mark.parametrize(
    "config",
    [
        b"SELINUX=disabled\nSELINUXTYPE=test\n",
        b"SELINUXTYPE=test\n",
        b"SELINUX=enforcing\nSELINUXTYPE=other\n",
        b"SELINUX=enforcing\nSELINUXTYPE=../test\n",
        b"",
    ],
)
def test_an_inactive_policy_labels_nothing(config: bytes) -> None:
    assert selinux.read_policy(tree(*POLICY, f("etc/selinux/config", config))) is None


def test_a_policy_without_rules_is_refused() -> None:
    broken = tree(*POLICY[:3])
    with pytest.raises(SourceError) as caught:
        selinux.read_policy(broken)
    assert "'test'" in caught.value.message
    assert caught.value.hint is not None


@pytest.mark.parametrize("rules", [b"/usr(/.* system_u:object_r:usr_t:s0\n", b"/a b c d e f\n"])
def test_rules_that_libselinux_cannot_read(rules: bytes, tmp_path: Path) -> None:
    root = tree(*POLICY, f("etc/selinux/test/contexts/files/file_contexts", rules))
    policy = selinux.read_policy(root)
    assert policy is not None
    with pytest.raises(SourceError, match="cannot be read"):
        selinux.ask(policy, selinux.questions_of(root), tmp_path)
