"""What a kickstart gives a machine of its own, as documents and options say it, too."""

from __future__ import annotations

from ..accounts import is_crypted
from ..blueprint.model import Customizations, Group, Services, User
from .recipe import Account, Recipe


def customizations(recipe: Recipe) -> Customizations:
    """Return what a recipe's machine is given, but for its kernel arguments and its disk."""
    people = tuple(_user(account) for account in recipe.accounts)
    root = () if recipe.root is None else (_user(recipe.root),)
    return Customizations(
        users=(*people, *root),
        groups=tuple(Group(name=name, gid=gid) for name, gid in recipe.groups.items()),
        hostname=recipe.hostname,
        timezone=recipe.timezone,
        ntp_servers=recipe.ntp_servers,
        ntp=recipe.ntp,
        languages=(recipe.language,) if recipe.language else (),
        keyboard=recipe.keyboard,
        links=recipe.links,
        services=Services(enabled=recipe.enabled, disabled=recipe.disabled),
        firewall=recipe.firewall,
        selinux=recipe.selinux,
    )


def _user(account: Account) -> User:
    """Return an account; what is no hash opens it to nobody, as programs that read it have it."""
    text = account.password if account.crypted else None
    bare = text.lstrip("!") if text is not None else None
    crypted = bare is not None and is_crypted(bare)
    return User(
        name=account.name,
        password=bare if crypted else None,
        plain=None if account.crypted else account.password,
        keys=account.keys,
        groups=account.groups,
        comment=account.gecos,
        home=account.home,
        shell=account.shell,
        uid=account.uid,
        gid=account.gid,
        locked=account.locked or (text is not None and text != (bare if crypted else None)),
    )
