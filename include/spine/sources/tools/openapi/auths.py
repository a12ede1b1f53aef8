"""Security schemes as kinds of authentication."""

from __future__ import annotations

import re
from typing import Any

from spine.sources.tools.drafts import placeholder, variable_word, word
from spine.sources.tools.openapi.document import Api

Auth = dict[str, Any]
_PREFIX = re.compile(r"Authorization:?\s*`?\"?'?([A-Za-z][\w-]{1,20}) +[\[{<\$]")
_ORDER = ("bearer", "api_key", "oauth2", "basic")
_PLACES = {"header": "headers", "query": "params", "cookie": "cookies"}


def auths_of(api: Api) -> tuple[Auth | None, dict[str, Auth], list[str]]:
    """How requests are signed, other ways, and what is guessed about them."""
    schemes = api.at(api.document.get("components")).get("securitySchemes") or {}
    found: dict[str, Auth] = {}
    doubts: list[str] = []
    for names in _ways(api, schemes):
        made = _together({name: api.at(schemes.get(name)) for name in names}, doubts)
        if made is not None and made not in found.values():
            found[word("_".join(names), set(found))] = made
    if not found:
        return None, {}, ["the description says nothing of how requests are signed"]
    first = min(found, key=lambda name: (_rank(found[name]), list(found).index(name)))
    usual = found.pop(first)
    if found:
        doubts.append(f"one of several ways; an account chooses another by `auth` in its Connection's extra: {', '.join(found)}")
    return usual, found, doubts


def _rank(auth: Auth) -> int:
    if auth["type"] == "oauth2" and auth.get("grant") != "client_credentials":
        return len(_ORDER)
    return _ORDER.index(auth["type"]) if auth["type"] in _ORDER else len(_ORDER)


def _ways(api: Api, schemes: dict[str, Any]) -> list[list[str]]:
    """The ways to sign, each a list of schemes that go together: as the whole says, as most operations say, or as there are."""
    said = api.document.get("security")
    if not said:
        listed = [operation.said.get("security") for operation in api.operations()]
        said = max((one for one in listed if one), key=listed.count, default=None)
    ways = [[str(name) for name in way] for way in said or () if isinstance(way, dict) and way]
    return ways or [[str(name)] for name in schemes]


def _together(schemes: dict[str, dict[str, Any]], doubts: list[str]) -> Auth | None:
    made = [one for one in (_one(name, scheme, doubts) for name, scheme in schemes.items()) if one]
    if len(made) < 2:
        return made[0] if made else None
    if not all(scheme.get("type") == "apiKey" for scheme in schemes.values()):
        return made[0]
    send: dict[str, dict[str, str]] = {}
    for name, scheme in schemes.items():
        send.setdefault(_PLACES.get(str(scheme.get("in")), "headers"), {})[str(scheme.get("name"))] = placeholder(_field(name, scheme))
    doubts.append("each key is a field of the Connection: the login, the password, or one of its extra")
    return {"type": "api_key", "send": send}


def _field(name: str, scheme: dict[str, Any]) -> str:
    """Which field of the Connection holds a key among several."""
    said = f"{name} {scheme.get('name')}".lower()
    if "secret" in said or "token" in said or "password" in said:
        return "password"
    return "login" if "client" in said or "user" in said or "app" in said else variable_word(name)


def _one(name: str, scheme: dict[str, Any], doubts: list[str]) -> Auth | None:
    kind = str(scheme.get("type"))
    if kind == "http":
        way = str(scheme.get("scheme") or "").lower()
        return {"type": way} if way in ("bearer", "basic") else None
    if kind == "apiKey":
        return _key(scheme, doubts)
    if kind == "oauth2":
        return _oauth(scheme, doubts)
    return None


def _key(scheme: dict[str, Any], doubts: list[str]) -> Auth:
    place, name = str(scheme.get("in")), str(scheme.get("name"))
    if place == "cookie":
        return {"type": "api_key", "send": {"cookies": {name: "{password}"}}}
    if place == "query":
        return {"type": "api_key", "param": name}
    found = _PREFIX.search(str(scheme.get("description") or ""))
    if name.lower() == "authorization" and found:
        if found[1].lower() == "bearer":
            return {"type": "bearer"}
        doubts.append(f"the word {found[1]} before the key is from the description's prose")
        return {"type": "api_key", "header": name, "value": f"{found[1]} {{password}}"}
    if name.lower() == "authorization":
        doubts.append("what stands before the key in the header, as Token or Bearer, is not said")
    return {"type": "api_key", "header": name}


def _oauth(scheme: dict[str, Any], doubts: list[str]) -> Auth | None:
    flows = scheme.get("flows") or {}
    cc, code = flows.get("clientCredentials"), flows.get("authorizationCode")
    flow = cc or code
    if not isinstance(flow, dict) or not flow.get("tokenUrl"):
        return None
    made: Auth = {"type": "oauth2", "grant": "client_credentials" if cc else "authorization_code"}
    made["token_path"] = _address(flow["tokenUrl"])
    if not cc and flow.get("authorizationUrl"):
        made["authorize_path"] = _address(flow["authorizationUrl"])
    scopes = flow.get("scopes")
    if isinstance(scopes, dict) and scopes:
        reading = [str(scope) for scope in scopes if "read" in str(scope).lower()]
        made["scopes"] = reading[:6] or [str(scope) for scope in scopes][:5]
        doubts.append("the scopes are guessed: ask for what the streams need")
    return made


def _address(url: Any) -> str:
    return re.sub(r"\{([^{}]+)\}", lambda found: placeholder(variable_word(found[1])), str(url))
