"""What an image says of its installation, why one cannot become a machine, and the trees of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from diskgen.errors import SourceError, UsageError
from diskgen.image.index import Entry
from diskgen.ostree import composefs, kargs
from diskgen.ostree.deploy import DeployRequest, Sysroot, deploy
from diskgen.ostree.facts import UnfitError, examine
from diskgen.ostree.installconfig import read_config
from diskgen.ostree.layertree import layer_tree
from diskgen.ostree.merge import merge
from diskgen.reference import parse
from diskgen.tree import Directory, File, read

from ..fixtures.materialise import materialise
from ..fixtures.ostree_samples import LABELS, bootable, d, f, image, layer, listing, ostree, s
from ..oracles import golden

UUID = "11111111-2222-3333-4444-555555555555"


def merged(*entries: Entry) -> Directory:
    tree, _warnings = layer_tree(layer(*bootable(), *entries))
    result, _warnings = merge([tree])
    return result


def deployed(
    *entries: Entry, boot: str | None = UUID, labels: dict[str, str] | None = None
) -> Sysroot:
    tree, _warnings = layer_tree(layer(*bootable(), *entries))
    whole, _warnings = merge([tree])
    request = DeployRequest(
        image=image(1, labels=labels),
        target=parse("quay.io/example/os:2"),
        origin=parse("quay.io/example/os:2").origin,
        stateroot="default",
        timestamp=1748781015,
        kargs=("root=UUID=1", "rw", "quiet"),
        boot_uuid=boot,
    )
    return deploy(request, examine(whole, LABELS, "x86_64"), whole, [tree])


def text(root: Directory, path: str) -> str:
    node = root.get_file(path)
    assert node is not None, path
    assert node.content is not None
    return read(node.content).decode()


def problems(*entries: Entry, labels: dict[str, str] | None = None) -> set[str]:
    with pytest.raises(UnfitError) as caught:
        examine(merged(*entries), LABELS if labels is None else labels, "x86_64")
    assert all(problem.hint for problem in caught.value.problems)
    return {problem.code for problem in caught.value.problems}


def test_a_sound_image_is_taken() -> None:
    facts = examine(merged(), LABELS, "x86_64")
    assert facts.title == "Test Linux 1"
    assert facts.kernel.release == "6.1.0-test"
    assert facts.has_tmpfiles
    assert facts.warnings == ()


@pytest.mark.parametrize(
    ("entries", "labels", "codes"),
    [
        ((), {}, {"not-bootable"}),
        ((f("usr/lib/modules/6.2/vmlinuz"),), LABELS, {"kernel"}),
        ((f("usr/lib/modules/.wh.6.1.0-test", b""),), LABELS, {"kernel"}),
        ((f("usr/lib/ostree/.wh.prepare-root.conf", b""),), LABELS, {"prepare-root"}),
        (
            (f("usr/lib/ostree/prepare-root.conf", b"[composefs]\nenabled=signed\n"),),
            LABELS,
            {"composefs"},
        ),
        (
            (f("usr/lib/ostree/prepare-root.conf", b"[composefs]\nenabled=perhaps\n"),),
            LABELS,
            {"prepare-root"},
        ),
        *(
            ((f("usr/lib/ostree/prepare-root.conf", text),), LABELS, {"composefs"})
            for text in (b"[root]\ntransient=true\n", b"[root]\ntransient-ro=yes\n")
        ),
        (
            (
                f("etc/selinux/config", b"SELINUX=enforcing\nSELINUXTYPE=targeted\n"),
                f("etc/selinux/targeted/policy/policy.33"),  # and no file_contexts
            ),
            LABELS,
            {"selinux"},
        ),
        (
            (f("usr/lib/bootc/bound-images.d/app.image", b"[Image]\nImage=quay.io/a/b\n"),),
            LABELS,
            {"bound-images"},
        ),
        ((f("usr/lib/bootc/install/x.toml", b"not toml"),), LABELS, {"install-config"}),
        ((f(".wh.sysroot", b""), f("etc/x")), {}, {"layout", "not-bootable"}),
    ],
)
def test_reasons_against_an_image(
    entries: tuple[Entry, ...], labels: dict[str, str], codes: set[str]
) -> None:
    whole = [layer_tree(layer(*bootable()))[0], layer_tree(layer(*entries))[0]]
    tree, _warnings = merge(whole)
    with pytest.raises(UnfitError) as caught:
        examine(tree, labels, "x86_64")
    assert {problem.code for problem in caught.value.problems} == codes


def test_install_configuration_adds_up() -> None:
    config = read_config(
        merged(
            f("usr/lib/bootc/install/10-a.toml", b'[install]\nkargs = ["a", "b=1"]\n'),
            f(
                "usr/lib/bootc/install/20-b.toml",
                b'[install]\nkargs = ["c"]\nstateroot = "fedora"\n[install.filesystem.root]\n'
                b'type = "xfs"\n[install.ostree]\nbls-append-except-default = "x y"\n',
            ),
            f(
                "usr/lib/bootc/install/30-arm.toml",
                b'[install]\nmatch-architectures = ["aarch64"]\nkargs = ["arm"]\n',
            ),
            f("usr/lib/bootc/install/40-new.toml", b"[install]\nfuture = 1\n[install.x]\ny = 2\n"),
            f("usr/lib/bootc/kargs.d/10.toml", b'kargs = ["d"]\n'),
            f(
                "usr/lib/bootc/kargs.d/20.toml",
                b'kargs = ["e"]\nmatch-architectures = ["x86_64", "s390x"]\n',
            ),
        ),
        "x86_64",
    )
    assert config.kargs == ("a", "b=1", "c", "d", "e")
    assert config.stateroot == "fedora"
    assert config.root_filesystem == "xfs"
    assert config.bls_append_except_default == "x y"
    assert len(config.warnings) == 2


def test_configuration_in_etc_hides_the_one_in_usr() -> None:
    config = read_config(
        merged(
            f("usr/lib/bootc/install/10.toml", b'[install]\nkargs = ["usr"]\n'),
            f("etc/bootc/install/10.toml", b'[install]\nkargs = ["etc"]\n'),
        ),
        "x86_64",
    )
    assert config.kargs == ("etc",)


@pytest.mark.parametrize(
    "document",
    [
        b"x = ",
        b"[install]\nkargs = 1\n",
        b'[install]\nkargs = ["a\\nb"]\n',
        b'[install]\nstateroot = "../x"\n',
        b'[install.filesystem.root]\ntype = "fat"\n',
        b'[install]\nroot-mount-spec = "a b"\n',
        b'[install]\nboot-mount-spec = "$x"\n',
        b"install = 1\n",
    ],
)
def test_broken_configuration_names_its_file(document: bytes) -> None:
    with pytest.raises(SourceError, match=r"'/usr/lib/bootc/install/9\.toml' of the image is"):
        read_config(merged(f("usr/lib/bootc/install/9.toml", document)), "x86_64")


def test_kernel_arguments_in_order() -> None:
    combined = kargs.combine(
        fixed=("root=UUID=R", "rw", "boot=UUID=B"),
        image=("a b=1", 'c="x y"', "ostree=/evil", "quiet"),
        added=("console=tty0", "console=ttyS0"),
        deletes=("quiet", "b=2"),
        user=("b=3", "a", "ip=dhcp"),
    )
    assert combined == (
        "root=UUID=R", "rw", "boot=UUID=B", "a", "b=1", 'c="x y"', "console=tty0",
        "console=ttyS0", "b=3", "ip=dhcp",
    )  # fmt: skip


def test_quotes_must_close() -> None:
    words: dict[str, Any] = {"fixed": (), "added": (), "deletes": ()}
    with pytest.raises(UsageError, match="unclosed quote"):
        kargs.combine(**words, image=(), user=('a="b',))
    with pytest.raises(SourceError, match="unclosed quote"):
        kargs.combine(**words, image=('a="b',), user=())


def test_the_trees_of_a_machine() -> None:
    made = deployed()
    place = f"ostree/deploy/default/deploy/{made.commit}.0"
    paths = listing(made.root)
    assert paths["ostree/boot.1"].endswith("-> boot.1.1")
    link = f"ostree/boot.1.1/default/{made.boot_checksum}/0"
    assert paths[link].endswith(f"-> ../../../deploy/default/deploy/{made.commit}.0")
    assert made.ostree_karg == f"ostree=/ostree/boot.1/default/{made.boot_checksum}/0"
    assert text(made.root, f"{place}.origin") == (
        "[origin]\ncontainer-image-reference=ostree-unverified-registry:quay.io/example/os:2\n"
    )
    assert text(made.root, f"{place}/etc/fstab") == f"UUID={UUID} /boot auto ro 0 0\n"
    assert text(made.root, f"{place}/usr/etc/fstab") == "# the image's\n"
    deployment = made.root.get_dir(place)
    assert deployment is not None
    assert deployment.immutable
    assert f"{place}/var" in paths
    assert "ostree/deploy/default/var/lib/state" in paths
    # Files of the deployment are the repository's own inodes, those of /etc are not.
    shell = made.root.get_file(f"{place}/usr/bin/sh")
    assert shell is not None
    assert shell is made.root.get_file(f"{place}/usr/bin/ash")
    objects = {
        id(node)
        for path, node in made.root.walk()
        if path.startswith(b"ostree/repo/objects/") and isinstance(node, File)
    }
    assert id(shell) in objects
    assert id(made.root.get_file(f"{place}/etc/shadow")) not in objects
    assert listing(made.boot)["loader"].endswith("-> loader.1")
    entry = text(made.boot, "loader.1/entries/ostree-1.conf")
    folder = f"/boot/ostree/default-{made.boot_checksum}"
    assert entry == (
        "title Test Linux 1 (ostree:0)\nversion 1\n"
        f"options root=UUID=1 rw quiet {made.ostree_karg}\n"
        f"linux {folder}/vmlinuz-6.1.0-test\ninitrd {folder}/initramfs-6.1.0-test.img\n"
    )


def test_without_a_boot_filesystem_the_kernel_is_the_repositorys() -> None:
    made = deployed(boot=None)
    assert made.boot.entries == {}
    place = f"boot/ostree/default-{made.boot_checksum}"
    kernel = made.root.get_file(f"{place}/vmlinuz-6.1.0-test")
    assert kernel is not None
    name = f"ostree/deploy/default/deploy/{made.commit}.0/usr/lib/modules/6.1.0-test/vmlinuz"
    assert kernel is made.root.get_file(name)


@pytest.mark.parametrize(
    ("enabled", "written"), [("yes", True), ("1", True), ("maybe", True), ("no", False)]
)
def test_composefs_where_the_image_wants_it(enabled: str, written: bool) -> None:
    conf = f"[composefs]\nenabled = {enabled}\n[root]\ntransient = {str(written).lower()}\n"
    made = deployed(f("usr/lib/ostree/prepare-root.conf", conf.encode()))
    node = made.root.get_file(f"ostree/deploy/default/deploy/{made.commit}.0/.ostree.cfs")
    assert (node is not None) == written
    if node is not None:
        assert node.mode == 0o100644
        assert node.content is not None
        tree = merged(f("usr/lib/ostree/prepare-root.conf", conf.encode()))
        assert read(node.content) == composefs.image(tree)


def test_the_real_ostree_finds_no_fault(tmp_path: Path) -> None:
    made = deployed(d("usr/empty"), s("usr/link", "../etc"))
    materialise(made.root, tmp_path / "root")
    repo = tmp_path / "root/ostree/repo"
    refs = ostree("refs", f"--repo={repo}").split()
    assert "ostree/container/image/docker_3A__2F__2F_quay_2E_io/example/os_3A_2" in refs
    assert "ostree/1/1/0" in refs
    shown = ostree("show", f"--repo={repo}", "--print-metadata-key=ostree.manifest-digest",
                   made.commit)  # fmt: skip
    assert shown.strip().strip("'") == image(1).digest
    listed = ostree("ls", "-R", f"--repo={repo}", made.commit)
    assert "/usr/etc/fstab" in listed
    assert "/usr/link -> ../etc" in listed


@pytest.mark.parametrize(
    ("labels", "version"),
    [({}, None), ({"version": "1"}, "1"),
     ({"version": "1", "org.opencontainers.image.version": "2"}, "2")],
)  # fmt: skip
def test_bootcs_note_has_the_version_of_the_image(
    labels: dict[str, str], version: str | None
) -> None:
    note = json.loads(text(deployed(labels=labels).root, ".bootc-aleph.json"))
    assert note["version"] == version


def test_the_golden_trees() -> None:
    """Every path, mode, owner and link of a machine's two filesystems."""
    made = deployed()
    for name, tree in (("root", made.root), ("boot", made.boot)):
        lines = [f"{path or '.'} {line}" for path, line in sorted(listing(tree).items())]
        golden.check(f"tree-{name}.txt", "\n".join(lines) + "\n")
    golden.check("entry.conf", text(made.boot, "loader.1/entries/ostree-1.conf"))
    golden.check("repo-config.txt", text(made.root, "ostree/repo/config"))


def test_the_same_image_gives_the_same_trees() -> None:
    first, second = deployed(), deployed()
    assert listing(first.root) == listing(second.root)
    assert listing(first.boot) == listing(second.boot)


@pytest.mark.parametrize(
    ("path", "platform"),
    [
        ("usr/bin/cloud-init", None),  # of every platform
        ("usr/bin/afterburn", None),
        ("usr/bin/google_guest_agent", "gcp"),
        ("usr/sbin/waagent", "azure"),
        ("usr/bin/waagent", "azure"),
        ("usr/bin/azure-init", "azure"),
    ],
)
def test_what_gets_keys_where_a_machine_runs(path: str, platform: str | None) -> None:
    assert examine(merged(), LABELS, "x86_64").fetched == frozenset()
    assert examine(merged(f(path, mode=0o755)), LABELS, "x86_64").fetched == {platform}


def test_bound_images_can_be_left_out() -> None:
    bound = f("usr/lib/bootc/bound-images.d/app.image", b"[Image]\nImage=quay.io/a/b\n")
    tree, _warnings = layer_tree(layer(*bootable(), bound))
    with pytest.raises(UnfitError) as caught:
        examine(tree, LABELS, "x86_64")
    (problem,) = caught.value.problems
    assert problem.setting == "bound-images"
    assert "'skip'" in str(problem.hint)
    found = examine(tree, LABELS, "x86_64", skip_bound_images=True)
    assert any("left out: 'quay.io/a/b'" in warning for warning in found.warnings)
