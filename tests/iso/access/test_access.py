"""What a machine that installs is given, and what is said where it could not install by that."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from diskgen import secrecy
from diskgen.config import AccessOptions, IsoRequest
from diskgen.errors import UsageError
from diskgen.image.policy import ACCEPT
from diskgen.install import payload
from diskgen.iso.access import access
from diskgen.iso.access.access import Access, AccessError, decide
from diskgen.iso.kickstarts.kickstart import UNVERIFIED_ORIGIN
from diskgen.kickstart.recipe import ImageSource
from diskgen.reference import SIGNED, UNVERIFIED, parse
from diskgen.tree import Directory, read, regular

HERE, THERE = "registry.example/os:1", "elsewhere.example/os:1"
KEY = b"-----BEGIN PUBLIC KEY-----\nx\n"


def request(
    signature: str = UNVERIFIED,
    payload: str = "remote",
    *,
    target: str | None = None,
    kargs: tuple[str, ...] = (),
    signature_key: Path | None = None,
    embed: bool = False,
    **options: object,
) -> IsoRequest:
    return IsoRequest(
        source=parse(HERE), target=parse(target) if target else None, arch="x86_64",
        signature=signature, signature_key=signature_key, payload=payload, kargs=kargs,
        embed_authfile=embed, access=AccessOptions(**options),  # type: ignore[arg-type]
    )  # fmt: skip


def decided(asked: IsoRequest, *roots: Directory | None, proxy: str | None = None) -> Access:
    rule = asked.tracked.origin_by(asked.signature or UNVERIFIED).removesuffix(asked.tracked.name)
    return decide(asked, rule, roots or (None, None), proxy)


def refused(asked: IsoRequest, *roots: Directory | None) -> tuple[str, str, str]:
    with pytest.raises(AccessError) as caught:
        decided(asked, *roots)
    (problem,) = caught.value.problems
    return problem.message, problem.hint or "", problem.setting or ""


def policy(place: Path, rule: str = "signedBy", default: str = "reject") -> Path:
    (place / "key.pub").write_bytes(KEY)
    path = place / "policy.json"
    rules = [{"type": rule, "keyType": "GPGKeys", "keyPath": str(place / "key.pub")}]
    path.write_text(
        json.dumps({"default": [{"type": default}],
                    "transports": {"docker": {"registry.example": rules}}})
    )  # fmt: skip
    return path


def text(found: Access, path: str) -> str:
    file = found.tree.get_file(path)
    assert file is not None, found.given
    assert file.content is not None
    return read(file.content).decode()


def test_a_signed_image_needs_a_policy(tmp_path: Path) -> None:
    message, hint, setting = refused(request(SIGNED))
    assert "no signature policy says by whom" in message
    assert "containers-policy.json(5)" in hint
    assert setting == "signature-policy"
    # ostree takes no policy that accepts by default, and skopeo none that rejects the image.
    accepting = policy(tmp_path, default="insecureAcceptAnything")
    assert "says by whom" in refused(request(SIGNED, policy=accepting))[0]
    message = refused(request(UNVERIFIED, policy=policy(tmp_path), target=THERE))[0]
    assert f"refuses '{THERE}'" in message
    (warning,) = decided(request(SIGNED, "embedded")).warnings
    assert "(--signature-policy)" in warning


def test_policy_and_keys_go_along(tmp_path: Path) -> None:
    found = decided(request(SIGNED, policy=policy(tmp_path, "sigstoreSigned")))
    assert found.verified
    document = json.loads(text(found, "etc/containers/policy.json"))
    (rule,) = document["transports"]["docker"]["registry.example"]
    assert text(found, rule["keyPath"].lstrip("/")) == KEY.decode()
    assert str(tmp_path) not in json.dumps(document)
    place = "/run/install/repo/diskgen/container"
    assert document["transports"]["oci"] == {place: [ACCEPT]}
    attached = text(found, "etc/containers/registries.d/diskgen.yaml")
    assert '"registry.example/os":\n    use-sigstore-attachments: true' in attached


@pytest.mark.parametrize("where", [0, 1])
def test_a_policy_of_the_runtime_or_of_the_image(where: int, tmp_path: Path) -> None:
    root = Directory()
    root.add("etc/containers/policy.json", regular(policy(tmp_path).read_bytes()))
    root.add(str(tmp_path / "key.pub"), regular(KEY))
    roots: list[Directory | None] = [None, None]
    roots[where] = root
    found = decided(request(SIGNED), *roots)
    assert found.verified
    assert any(path.startswith("/etc/pki/containers/") for path in found.given)
    # One that refuses all by default takes the image on the medium, where the runtime has it.
    found = decided(request(UNVERIFIED, "embedded"), *roots)
    assert ("/etc/containers/policy.json" in found.given) == (where == 0)


def test_registries_and_where_signatures_are(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/site.yaml").write_text("docker: {}\n")
    (tmp_path / "d/README").write_text("no")
    (tmp_path / "conf").write_text("unqualified-search-registries = []\n")
    found = decided(request(
        policy=policy(tmp_path), registries_d=tmp_path / "d", registries_conf=tmp_path / "conf",
        tls_verify=False,
    ))  # fmt: skip
    assert text(found, "etc/containers/registries.d/site.yaml") == "docker: {}\n"
    assert "/etc/containers/registries.d/README" not in found.given
    assert "search-registries" in text(found, "etc/containers/registries.conf")
    insecure = text(found, "etc/containers/registries.conf.d/999-diskgen.conf")
    assert 'location = "registry.example"\ninsecure = true' in insecure


def test_certificates(tmp_path: Path) -> None:
    for name in ("ca.crt", "client.cert", "client.key"):
        (tmp_path / name).write_text(name)
    found = decided(request(cert_dir=tmp_path))
    place = "/etc/containers/certs.d/registry.example/ca.crt"
    assert [path for path in found.given if "certs.d" in path] == [place]
    (warning,) = found.warnings
    assert "'client.key' of --cert-dir) does not go onto the medium" in warning


@pytest.mark.parametrize("option", ["tls_verify", "cert_dir"])
def test_what_is_of_another_registry_stays_here(option: str, tmp_path: Path) -> None:
    value: object = False if option == "tls_verify" else tmp_path
    found = decided(request(target=THERE, **{option: value}))  # type: ignore[arg-type]
    (warning,) = found.warnings
    assert f"--{option.replace('_', '-')}" in warning
    assert "'registry.example'" in warning
    assert "'elsewhere.example'" in warning
    assert len(found.given) == 1
    assert decided(request(target=THERE, payload="embedded",
                           **{option: value})).warnings == ()  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize("name", ["registry.example/os", "registry.example"])
def test_credentials_go_along_when_asked_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {name: {"auth": "eA=="}, "other": {"auth": "secret"}}}))
    found = decided(request(authfile=path))
    (warning,) = found.warnings
    assert "--embed-authfile" in warning
    found = decided(request(authfile=path, embed=True))
    assert json.loads(text(found, access.AUTHFILE)) == {"auths": {name: {"auth": "eA=="}}}
    file = found.tree.get_file(access.AUTHFILE)
    assert file is not None
    assert file.mode & 0o777 == 0o600
    assert found.warnings == ()
    (warning,) = secrecy.warnings(request(authfile=path, embed=True))
    assert "the credentials for the image's registry" in warning
    assert "whoever gets the medium can read them" in warning


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "no credentials are named"), ("{}", "has no credentials for 'registry.example'"),
     ('{"auths": {"other": {}}}', "has no credentials for"),
     ('{"auths": {"registry.example": {}}, "credsStore": "secretservice"}', "no credentials for"),
     ('{"auths": {"registry.example": null}}', "no credentials for"),
     ("x", "holds no credentials")],
)  # fmt: skip
def test_credentials_that_are_not_there(data: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(data or "")
    message, _hint, setting = refused(
        request(embed=True, authfile=path if data is not None else None)
    )
    assert words in message
    assert setting == "authfile"


def test_a_remote_needs_its_key(tmp_path: Path) -> None:
    rule = "ostree-remote-registry:site"
    message, _hint, setting = refused(request(rule))
    assert "'site', whose key is not named" in message
    assert setting == "target-signature-key"
    key = tmp_path / "key"
    for secret in (b"-----BEGIN PGP PRIVATE KEY BLOCK-----", b"\x95\x01"):
        key.write_bytes(secret)
        assert "is a private key" in refused(request(rule, signature_key=key))[0]
    key.write_bytes(b"\x98\x33public")
    assert "no ostree remote" in refused(request(signature_key=key))[0]
    found = decided(request(rule, signature_key=key))
    assert found.remote == ("site", b"\x98\x33public")
    assert not found.verified
    assert "(--signature-policy)" in found.warnings[0]
    found = decided(request(rule, signature_key=key, policy=policy(tmp_path)))
    assert found.verified
    assert not found.warnings


def test_a_proxy() -> None:
    (warning,) = decided(request(), proxy="https_proxy").warnings
    assert "'--karg inst.proxy=URL'" in warning
    words = ("inst.proxy=proxy.example:3128",)
    assert decided(request(kargs=words), proxy="https_proxy").warnings == ()
    assert decided(request(payload="embedded"), proxy="https_proxy").warnings == ()
    message, _hint, setting = refused(request(kargs=("inst.proxy=http://me:pw@proxy:1",)))
    assert "password" in message
    assert setting == "karg"


@pytest.mark.parametrize(
    ("line", "proxy"),
    [
        ("quiet inst.proxy=http://p.example:3128 x=y", "http://p.example:3128"),
        ("inst.proxy=p.example:3128", "http://p.example:3128"),
        ("inst.proxy=http://me:pw@p:1", "http://me:pw@p:1"),
        ("inst.proxy=a inst.proxy=b", "http://b"),
        ("inst.proxy=http://[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("quiet", None), ("inst.proxy=", None), ("inst.proxy=x$(reboot)", None),
        ("inst.proxy=x;y", None), ("inst.proxy=*", None),
    ],
)  # fmt: skip
def test_a_proxy_counts_for_all_that_fetches(line: str, proxy: str | None, tmp_path: Path) -> None:
    """systemd runs the script, and gives what it prints to every service."""
    script = text(decided(request()), access._PROXY)
    (tmp_path / "cmdline").write_text(f"{line}\n")
    path = tmp_path / "generator"
    path.write_text(script)
    subprocess.run(["shellcheck", path], check=True)
    path.write_text(script.replace("/proc/cmdline", str(tmp_path / "cmdline")))
    said = subprocess.run(["sh", path], check=True, capture_output=True, text=True).stdout
    found = dict(each.split("=", 1) for each in said.splitlines())
    assert found.get("http_proxy") == found.get("https_proxy") == proxy
    assert ("no_proxy" in found) == (proxy is not None)


def test_all_is_said_at_once() -> None:
    with pytest.raises(AccessError) as caught:
        decided(request(SIGNED, embed=True, kargs=("inst.proxy=a@b",)))
    assert {each.setting for each in caught.value.problems} == {
        "signature-policy", "authfile", "karg",
    }  # fmt: skip
    assert caught.value.exit_status == 2


def test_the_weakest_rule_is_the_kickstarts_default() -> None:
    assert parse(HERE).origin_by(UNVERIFIED).removesuffix(HERE) == UNVERIFIED_ORIGIN


@pytest.mark.parametrize("kind", ["none", "accepting", "rejecting", "demanding"])
def test_our_installer_fetches_nothing_unsigned(kind: str, tmp_path: Path) -> None:
    """Where updates have to be signed; what is on the medium is known by its digest."""
    place = tmp_path / "etc/containers"
    place.mkdir(parents=True)
    if kind == "demanding":
        (place / "policy.json").write_bytes(policy(tmp_path).read_bytes())
    elif kind != "none":
        word = "reject" if kind == "rejecting" else "insecureAcceptAnything"
        (place / "policy.json").write_text(json.dumps({"default": [{"type": word}]}))
    source = ImageSource(transport="registry", url=HERE, stateroot="default")
    held = ImageSource(transport="oci", url="/x", stateroot="default")
    payload.check_signed(source, signed=False, root=tmp_path)
    payload.check_signed(held, signed=True, root=tmp_path)
    if kind == "demanding":
        payload.check_signed(source, signed=True, root=tmp_path)
        return
    with pytest.raises(UsageError, match="does not say by whom") as caught:
        payload.check_signed(source, signed=True, root=tmp_path)
    assert "--signature-policy" in str(caught.value.hint)


def test_our_installer_uses_the_credentials(tmp_path: Path) -> None:
    assert payload.access_to_registries(tmp_path).authfile is None
    path = tmp_path / access.AUTHFILE
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert payload.access_to_registries(tmp_path).authfile == path
