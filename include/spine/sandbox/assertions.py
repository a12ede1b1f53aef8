"""Checks assertions as an authorization server does: JWT (RFC 7523, 3) and SAML (RFC 7522, 3), by other code than makes them."""

from __future__ import annotations

import base64
import hashlib
import time
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

_NAMES = {"saml": "urn:oasis:names:tc:SAML:2.0:assertion", "ds": "http://www.w3.org/2000/09/xmldsig#"}
ALGORITHMS = ["HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"]


def jwt_claims(assertion: str, key: Any, audience: str) -> dict[str, Any]:
    """The claims of a JWT for this audience. Raises ValueError for one that is not to be trusted."""
    try:
        claims: dict[str, Any] = jwt.decode(
            assertion, key, algorithms=ALGORITHMS, audience=audience, options={"require": ["iss", "aud", "exp"]}
        )
    except jwt.PyJWTError as error:
        raise ValueError(str(error)) from error
    if claims["exp"] > time.time() + 3700:
        raise ValueError("it lives too long")
    return claims


def saml_subject(assertion: str, key: Any, recipient: str, audience: str) -> str:
    """The subject of a signed assertion. Raises ValueError for one that is not to be trusted."""
    text = base64.urlsafe_b64decode(assertion + "=" * (-len(assertion) % 4)).decode()
    root = require_signature(text, key)
    data, conditions = root.find(".//saml:SubjectConfirmationData", _NAMES), root.find("saml:Conditions", _NAMES)
    if data is None or conditions is None or data.get("Recipient") != recipient:
        raise ValueError("it is for another endpoint")
    now = datetime.now(UTC)
    if not (_moment(conditions.get("NotBefore")) <= now < min(_moment(conditions.get("NotOnOrAfter")), _moment(data.get("NotOnOrAfter")))):
        raise ValueError("it has ended, or has not begun")
    if _of(root, ".//saml:Audience") not in (audience, recipient):
        raise ValueError("it is for another audience")
    return _of(root, ".//saml:NameID")


def require_signature(text: str, key: Any) -> ET.Element:
    """The assertion without its signature. Raises ValueError unless the key has signed the whole of it."""
    if "<!DOCTYPE" in text:
        raise ValueError("a document with a type")
    root = ET.fromstring(text)  # noqa: S314 - what declares nothing of its own expands to nothing
    signature = root.find("ds:Signature", _NAMES)
    if signature is None:
        raise ValueError("it is not signed")
    info, reference = signature.find("ds:SignedInfo", _NAMES), signature.find(".//ds:Reference", _NAMES)
    if info is None or reference is None or reference.get("URI") != f"#{root.get('ID')}":
        raise ValueError("something else is signed")
    value, digest = base64.b64decode(_of(signature, "ds:SignatureValue")), _of(signature, ".//ds:DigestValue")
    signed = _canonical(info)
    root.remove(signature)
    if base64.b64encode(hashlib.sha256(_canonical(root)).digest()).decode() != digest:
        raise ValueError("it was changed")
    try:
        key.verify(value, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise ValueError("the signature is somebody else's") from error
    return root


def _canonical(element: ET.Element) -> bytes:
    """In exclusive canonical form, with the prefixes that everybody uses."""
    for prefix, name in _NAMES.items():
        ET.register_namespace(prefix, name)
    out = StringIO()
    ET.canonicalize(ET.tostring(element, encoding="unicode"), out=out)
    return out.getvalue().encode()


def _of(element: ET.Element, path: str) -> str:
    found = element.find(path, _NAMES)
    if found is None or not found.text:
        raise ValueError(f"it lacks {path}")
    return found.text


def _moment(text: str | None) -> datetime:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
