"""The border between a device's own realm and its server's: ``local`` on this side is ``<pdid>`` on the other.

As a home router translates addresses, so names of procedures and topics are translated here, and nothing else: arguments pass as
they are.
"""

from __future__ import annotations

from paradrop.uris import CHUTE_AREA, LOCAL, LOCAL_PDID, ROOT, device_space

_CHUTES = LOCAL + CHUTE_AREA


def upwards(uri: str, pdid: str) -> str:
    """How *uri* of the device's realm is spelled at the server: ``org.paradrop.local.x`` → ``org.paradrop.<pdid>.x``."""
    return device_space(pdid) + uri.removeprefix(LOCAL) if uri.startswith(LOCAL) else uri


def downwards(uri: str, pdid: str) -> str:
    """The inverse of :func:`upwards`: whatever is not below ``org.paradrop.<pdid>.`` is left as it is."""
    space = device_space(pdid)
    return LOCAL + uri.removeprefix(space) if uri.startswith(space) else uri


def pattern_downwards(match: str, uri: str, pdid: str) -> tuple[str, str] | None:
    """The part of a subscription at the server that lies in the device's own space, as ``match, uri`` on its realm.

    ``None`` when no topic of the device can match. *match* is ``exact``, ``prefix`` or ``wildcard`` (WAMP, section
    "Pattern-based Subscriptions"; an empty component of a wildcard stands for any one component).
    """
    space = device_space(pdid)
    match match:
        case "exact":
            return ("exact", downwards(uri, pdid)) if uri.startswith(space) else None
        case "prefix":
            if uri.startswith(space):
                return "prefix", downwards(uri, pdid)
            return ("prefix", LOCAL) if space.startswith(uri) else None
        case "wildcard":
            own, wanted = space.removesuffix(".").split("."), uri.split(".")
            if len(wanted) <= len(own) or any(there not in ("", here) for here, there in zip(own, wanted, strict=False)):
                return None
            return "wildcard", ".".join([*LOCAL.removesuffix(".").split("."), *wanted[len(own) :]])
    return None


def is_foreign(uri: str, pdid: str) -> bool:
    """Whether *uri* is neither this device's own nor outside of Paradrop's space: only such a name is asked for upstream."""
    return uri.startswith(ROOT) and not uri.startswith((LOCAL, device_space(pdid)))


def patterns_upwards(match: str, uri: str, pdid: str) -> list[tuple[str, str]]:
    """What to subscribe to at the server for somebody who subscribed to ``match, uri`` on the device's realm.

    Topics of other devices and of the server are there as they are. Of the device's own, only its chutes' can be published by
    somebody upstream: the daemon's are the daemon's. Whatever is not below ``org.paradrop.`` stays on the device.
    """
    match match:
        case "exact":
            if uri.startswith(_CHUTES):
                return [("exact", upwards(uri, pdid))]
            return [("exact", uri)] if is_foreign(uri, pdid) else []
        case "prefix":
            own = device_space(pdid) + CHUTE_AREA
            if uri.startswith(LOCAL):
                if uri.startswith(_CHUTES):
                    return [("prefix", upwards(uri, pdid))]
                return [("prefix", own)] if _CHUTES.startswith(uri) else []
            if not is_foreign(uri, pdid):
                return []
            return [("prefix", uri), ("prefix", own)] if LOCAL.startswith(uri) else [("prefix", uri)]
        case "wildcard":
            root, wanted = ROOT.removesuffix(".").split("."), uri.split(".")
            if wanted[: len(root)] != root or len(wanted) <= len(root):
                return []
            found, here, below = [], wanted[len(root)], wanted[len(root) + 1 :]
            if here in ("", LOCAL_PDID) and below and below[0] in ("", CHUTE_AREA.removesuffix(".")):
                area = CHUTE_AREA.removesuffix(".")
                found.append(("wildcard", ".".join([*root, *pdid.split("."), area, *below[1:]])))
            if here != LOCAL_PDID and is_foreign(uri, pdid):
                found.append(("wildcard", uri))
            return found
    return []
