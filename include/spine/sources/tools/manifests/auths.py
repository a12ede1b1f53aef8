"""Authenticators as kinds of authentication of ours. Secrets go to the Connection, whose fields settings become."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import nodes

from spine.sources.tools.documents import Map
from spine.sources.tools.drafts import Untold, placeholder, word
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.filling import Filling
from spine.sources.tools.manifests.templates import constant, days_of, parts_of, path_of

Auth = dict[str, Any]
_PLACES = {"header": "headers", "request_parameter": "params", "body_json": "body", "body_data": "body", "cookie": "cookies"}


def auths_of(found: Component | None, filling: Filling) -> tuple[Auth | None, dict[str, Auth]]:
    """How requests are signed, and other ways that an account may choose. Raises Untold."""
    if found is None or found.type in ("NoAuth", ""):
        return (None, {}) if found is None or not _guessed(found) else (_auth_of(found, filling), {})
    if found.type != "SelectiveAuthenticator":
        return _auth_of(found, filling), {}
    made: dict[str, Auth] = {}
    for name, one, line in found.items("authenticators"):
        inner = Component(one, found._root, found.parameters) if isinstance(one, Map) else None  # a way of several
        if inner is None:
            raise Untold("an authenticator that is none", "", line)
        auth = _auth_of(inner, filling)
        if auth is not None:
            made[word(name, set(made))] = auth
    if not made:
        return None, {}
    first = next(iter(made))
    return made.pop(first), made


def _guessed(found: Component) -> str:
    """The kind of an authenticator that does not say it."""
    if "api_token" in found and ("header" in found or "inject_into" in found):
        return "ApiKeyAuthenticator"
    if "api_token" in found:
        return "BearerAuthenticator"
    if "token_refresh_endpoint" in found:
        return "OAuthAuthenticator"
    return "BasicHttpAuthenticator" if "username" in found else ""


def _auth_of(found: Component, filling: Filling) -> Auth | None:
    kind = found.type or _guessed(found)
    if found.custom and "token_refresh_endpoint" in found and "client_id" in found:
        # A class with the words of OAuth is one of OAuth with something besides: rotation, as ours has it, or another form of the request.
        filling.lacks.append((found.line, "custom code: authenticator", f"{found.type} is code; it is taken for OAuth, by its words"))
        kind = "OAuthAuthenticator"
    elif found.custom:
        raise Untold("custom code: authenticator", f"its requests are signed by code: {found.type}", found.line)
    if kind == "NoAuth":
        return None
    if kind not in _KINDS:
        raise Untold(f"authenticator {kind}", f"we have no {kind}", found.line)
    return _KINDS[kind](found, filling)


def signed(said: Any, found: Component, filling: Filling, wanted: str = "password") -> str:
    """A value with the Connection's fields in place of settings; the first of them becomes `wanted`."""
    return "".join(_piece(part, found, filling, wanted) for part in parts_of(str(said), found.parameters))


def _piece(part: Any, found: Component, filling: Filling, wanted: str) -> str:
    """A text, a field, or several put together. Of a choice between settings each account has one, in the same field. Raises Untold."""
    if isinstance(part, str):
        return part
    path = path_of(part)
    if path is not None and path.root == "config":
        setting = filling.settings.of(path.steps)
        field = "password" if wanted == "login" and setting.secret and _alone(found) else wanted
        return placeholder(filling.settings.credential(path.steps, field))
    if path is not None and path.root in ("session_token", "token"):
        return "{token}"
    if isinstance(part, nodes.CondExpr) and part.expr2 is not None:
        return _either(part.expr1, part.expr2, found, filling, wanted)
    if isinstance(part, nodes.Or):
        return _either(part.left, part.right, found, filling, wanted)
    if isinstance(part, nodes.Add):
        return _piece(part.left, found, filling, wanted) + _piece(part.right, found, filling, wanted)
    if isinstance(part, nodes.Concat):
        return "".join(_piece(one, found, filling, wanted) for one in part.nodes)
    value = constant(part)
    if isinstance(value, str):
        return value
    raise Untold("template: a computed secret", "what signs its requests is computed", found.line)


def _either(first: Any, second: Any, found: Component, filling: Filling, wanted: str) -> str:
    made = _piece(first, found, filling, wanted)
    path, other = path_of(first), path_of(second)
    if path is not None and other is not None and other.root == "config":
        filling.settings.fields.setdefault(other.steps, filling.settings.fields.get(path.steps, wanted))
    return made


def _alone(found: Component) -> bool:
    """Whether a user's name is the only secret, as keys in its place are."""
    return not found.text("password").strip()


def _basic(found: Component, filling: Filling) -> Auth:
    login, password = signed(found.text("username"), found, filling, "login"), signed(found.text("password"), found, filling)
    made: Auth = {"type": "basic"}
    if login != "{login}":
        made["login"] = login
    if password != "{password}" and not (password == "" and login == "{login}"):  # noqa: S105 - a field's name
        made["password"] = password
    return made


def _bearer(found: Component, filling: Filling) -> Auth:
    value = signed(found.text("api_token"), found, filling)
    return {"type": "bearer", **({} if value == "{password}" else {"value": value})}


def _key(found: Component, filling: Filling) -> Auth:
    option = found.get("inject_into")
    place = _PLACES.get(option.text("inject_into") if option else "header", "headers")
    name = str(filling.text((option.text("field_name") if option else "") or found.text("header"), found.parameters))
    value = signed(found.text("api_token"), found, filling)
    if place in ("headers", "params"):
        return {
            "type": "api_key",
            ("header" if place == "headers" else "param"): name,
            **({} if value == "{password}" else {"value": value}),
        }
    return {"type": "api_key", "send": {place: {name: value}}}


def _oauth(found: Component, filling: Filling) -> Auth:
    if found.get("profile_assertion") is not None:
        return _assertion(found, filling)
    grant = found.text("grant_type") or "refresh_token"
    client = {name: found.text(name) for name in ("client_id", "client_secret")}
    for name, wanted in (("client_id", "login"), ("client_secret", "password")):
        signed(client[name], found, filling, wanted)
    if found.text("refresh_token"):
        _named(found.text("refresh_token"), "refresh_token", found, filling)
    for name in ("access_token_value",):
        if found.text(name):
            _named(found.text(name), "access_token", found, filling)
    fields, grant = _fields(found, filling, grant)
    made: Auth = {"type": "oauth2"}
    if grant != "refresh_token":
        made["grant"] = grant
    made["token_path"] = filling.text(found.text("token_refresh_endpoint"), found.parameters)
    scopes = found.value("scopes")
    if isinstance(scopes, list) and scopes:
        made["scopes"] = [filling.text(scope, found.parameters) for scope in scopes]
    request = _token_request(found, filling, client)
    request |= {"fields": fields} if fields else {}
    return made | ({"request": request} if request else {})


def _named(said: str, name: str, found: Component, filling: Filling) -> None:
    """A setting that our authentication looks for under a name of its own."""
    for part in parts_of(said, found.parameters):
        path = None if isinstance(part, str) else path_of(part)
        if path is not None and path.root == "config":
            filling.settings.fields.setdefault(path.steps, name)


def _fields(found: Component, filling: Filling, grant: str) -> tuple[dict[str, Any], str]:
    """Further fields of the token request, under the names that the vendor has for them."""
    body = {key: value for key, value, _ in found.items("refresh_request_body")}
    if grant == "password":
        for key, name in (("username", "username"), ("password", "user_password")):
            if key in body:
                _named(str(body.pop(key)), name, found, filling)
    fields: dict[str, Any] = {key: signed(value, found, filling, "password") for key, value in body.items()}
    for usual, own in (("client_id", "client_id_name"), ("client_secret", "client_secret_name"), ("refresh_token", "refresh_token_name")):
        name = found.text(own)
        if name and name != usual:
            fields |= {usual: None, name: {"client_id": "{login}", "client_secret": "{password}"}.get(usual, "{refresh_token}")}
    if grant not in ("refresh_token", "client_credentials", "password", "authorization_code"):
        fields["grant_type"], grant = grant, "client_credentials"
    return fields, grant


def _token_request(found: Component, filling: Filling, client: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    headers: dict[str, str] = {}
    for name, value, _ in found.items("refresh_request_headers"):
        if name.lower() == "authorization" and "basic" in str(value).lower():
            made["client"] = "basic"
        elif name.lower() != "content-type":
            headers[name] = signed(value, found, filling)
        elif "json" in str(value):
            made["encoding"] = "json"
    if not client["client_id"] and "client" not in made:
        made["client"] = "none"
    made |= {"headers": headers} if headers else {}
    for word_, own in (("token", "access_token_name"), ("expires", "expires_in_name")):
        name = found.text(own)
        if name and name not in ("access_token", "expires_in"):
            made[word_] = name if re.fullmatch(r"[A-Za-z_][\w.]*", name) else f'"{name}"'
    if found.value("send_refresh_request_as_query_params"):
        made["encoding"] = "query"
    return made


def _assertion(found: Component, filling: Filling) -> Auth:
    profile = found.get("profile_assertion")
    assert profile is not None
    made: Auth = {"type": "jwt_bearer", "token_path": filling.text(found.text("token_refresh_endpoint"), found.parameters)}
    return made | {"jwt": _jwt_words(profile, filling)}


def _jwt_words(found: Component, filling: Filling) -> dict[str, Any]:
    words: dict[str, Any] = {"algorithm": found.text("algorithm") or "HS256"}
    claims: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    for place, names in ((claims, ("jwt_payload", "additional_jwt_payload")), (headers, ("jwt_headers", "additional_jwt_headers"))):
        for name in names:
            for key, value, _ in found.items(name):
                if value not in (None, ""):
                    place[key] = signed(value, found, filling, "login") if isinstance(value, str) else value
    key = signed(found.text("secret_key"), found, filling)
    words |= {"claims": claims} if claims else {}
    words |= {"headers": headers} if headers else {}
    words |= {} if key == "{password}" else {"key": key}
    duration = found.value("token_duration")
    return words | ({"lifetime": f"{duration}s"} if isinstance(duration, int) else {})


def _jwt(found: Component, filling: Filling) -> Auth:
    made: Auth = {"type": "jwt", "jwt": _jwt_words(found, filling)}
    prefix = found.text("header_prefix")
    return made | ({"send": {"headers": {"Authorization": f"{prefix} {{token}}"}}} if prefix not in ("", "Bearer") else {})


def _session(found: Component, filling: Filling) -> Auth:
    login = found.get("login_requester")
    if login is None or login.custom:
        raise Untold("custom code: requester", "the login is code", found.line)
    base = filling.text(login.text("url_base") or login.text("url"), login.parameters)
    path = filling.text(login.text("path"), login.parameters)
    request: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for name in ("request_body_json", "request_body_data", "request_parameters"):
        said = {key: value for key, value, _ in login.items(name)}
        if said and all(isinstance(value, str | int) for value in said.values()):
            request["encoding"] = {"request_body_json": "json", "request_body_data": "form"}.get(name, "query")
            for key, value in said.items():
                wanted = "password" if "pass" in key.lower() or "secret" in key.lower() else "login"
                fields[key] = signed(value, login, filling, wanted)
        elif said:
            raise Untold("a login of nested fields", "", login.line)
    inner = login.get("authenticator")
    if inner is not None:
        if inner.type != "BasicHttpAuthenticator":
            raise Untold("a login that is signed itself", f"the login is signed by {inner.type}", inner.line)
        _basic(inner, filling)
        request["client"] = "basic"
    token = found.value("session_token_path")
    request["token"] = ".".join(map(str, token)) if isinstance(token, list) else str(token)
    headers = {name: signed(value, login, filling) for name, value, _ in login.items("request_headers") if name.lower() != "content-type"}
    request |= {"headers": headers} if headers else {}
    if login.text("http_method").upper() in ("GET", "PUT"):
        request["method"] = login.text("http_method").upper()
    made: Auth = {"type": "session", "login_path": _address(base, path), "request": {**request, "fields": fields}}
    if found.text("expiration_duration"):
        made["lifetime"] = days_of(found.text("expiration_duration"))
    return made | {"send": _session_send(found, filling)}


def _session_send(found: Component, filling: Filling) -> dict[str, Any]:
    way = found.get("request_authentication")
    option = way.get("inject_into") if way else None
    if way is None or option is None:
        return {"headers": {"Authorization": "Bearer {token}"}}
    place = _PLACES.get(option.text("inject_into"), "headers")
    value = signed(way.text("api_token"), way, filling) if way.text("api_token") else "{token}"
    return {place: {filling.text(option.text("field_name"), option.parameters): value}}


def _legacy_session(found: Component, filling: Filling) -> Auth:
    fields = {
        "username": signed(found.text("username"), found, filling, "login"),
        "password": signed(found.text("password"), found, filling),
    }
    base = filling.text(found.text("api_url"), found.parameters)
    return {
        "type": "session", "login_path": _address(base, filling.text(found.text("login_url"), found.parameters)),
        "request": {"token": found.text("session_token_response_key"), "fields": fields},
        "send": {"headers": {found.text("header"): "{token}"}},
    }  # fmt: skip


def _address(base: str, path: str) -> str:
    if not path or path.startswith("http"):
        return path or base
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


_KINDS: dict[str, Callable[[Component, Filling], Auth]] = {
    "BasicHttpAuthenticator": _basic, "BearerAuthenticator": _bearer, "ApiKeyAuthenticator": _key, "OAuthAuthenticator": _oauth,
    "SessionTokenAuthenticator": _session, "LegacySessionTokenAuthenticator": _legacy_session, "JwtAuthenticator": _jwt,
}  # fmt: skip


def with_secrets(auth: Auth | None, headers: Mapping[str, str], params: Mapping[str, str], line: int) -> Auth:
    """An authentication that sends further secrets along: those that requests of the manifest carry by themselves. Raises Untold."""
    more = {place: dict(found) for place, found in (("headers", headers), ("params", params)) if found}
    if auth is None:
        if len(headers) + len(params) == 1:
            ((name, value),) = [*headers.items(), *params.items()]
            way = "header" if headers else "param"
            return {"type": "api_key", way: name, **({} if value == "{password}" else {"value": value})}
        return {"type": "api_key", "send": more}
    own = _send_of(auth)
    if own is None:
        raise Untold("further secrets beside basic authentication", "a secret is sent beside basic authentication", line)
    send = {place: {**own.get(place, {}), **more.get(place, {})} for place in ("headers", "params", "cookies", "body")}
    send = {place: found for place, found in send.items() if found}
    kept = {name: value for name, value in auth.items() if name not in ("value", "header", "param", "send")}
    return {**kept, "type": "api_key" if auth["type"] == "bearer" else auth["type"], "send": send}


def _send_of(auth: Auth) -> dict[str, Any] | None:
    kind = auth["type"]
    if kind == "basic":
        return None
    if "send" in auth:
        return dict(auth["send"])
    if kind == "bearer":
        return {"headers": {"Authorization": f"Bearer {auth.get('value', '{password}')}"}}
    if kind == "api_key":
        value = auth.get("value", "{password}")
        return {"params": {auth["param"]: value}} if "param" in auth else {"headers": {auth.get("header", "X-API-Key"): value}}
    return {"headers": {"Authorization": "Bearer {token}"}}
