"""A SAML 2.0 assertion, signed (XML Signature, RSA-SHA256, exclusive canonicalisation).

It is written in its canonical form to begin with, so that what is signed is what is sent and no XML library is needed: no white space
between elements, attributes sorted, one namespace for each prefix, no empty-element tags.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from spine.core import clock

_SAML = "urn:oasis:names:tc:SAML:2.0"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_SKEW = timedelta(minutes=2)  # by which a clock may be ahead of the endpoint's


@dataclass(frozen=True)
class Assertion:
    """Who says what of whom, to whom, for how long."""

    issuer: str
    subject: str
    audience: str
    recipient: str
    lifetime: timedelta
    format: str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
    attributes: Mapping[str, str] = field(default_factory=dict)

    def signed(self, key: str, certificate: str, made_at: datetime, number: str) -> str:
        """The assertion with its signature. Raises ValueError for a key that is no RSA key, or not in PEM."""
        private = serialization.load_pem_private_key(key.encode(), None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError("no RSA key")
        before, after = self._parts(made_at, number)
        digest = base64.b64encode(hashlib.sha256((before + after).encode()).digest()).decode()
        info = _signed_info(number, digest)
        value = base64.b64encode(private.sign(info.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
        told = f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{_bare(certificate)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        # SignedInfo is signed with the namespace that it inherits; inside of Signature it stands without.
        inner = info.replace(f' xmlns:ds="{_DS}"', "", 1)
        signature = f"{inner}<ds:SignatureValue>{value}</ds:SignatureValue>{told if certificate else ''}"
        return f'{before}<ds:Signature xmlns:ds="{_DS}">{signature}</ds:Signature>{after}'

    def _parts(self, made_at: datetime, number: str) -> tuple[str, str]:
        """What stands before the signature, and what behind it."""
        at, until, since = _time(made_at), _time(made_at + self.lifetime), _time(made_at - _SKEW)
        before = (
            f'<saml:Assertion xmlns:saml="{_SAML}:assertion" ID="{_attribute(number)}" IssueInstant="{at}" Version="2.0">'
            f"<saml:Issuer>{_text(self.issuer)}</saml:Issuer>"
        )
        confirmed = (
            f'<saml:SubjectConfirmationData NotOnOrAfter="{until}" Recipient="{_attribute(self.recipient)}"></saml:SubjectConfirmationData>'
        )
        after = (
            f'<saml:Subject><saml:NameID Format="{_attribute(self.format)}">{_text(self.subject)}</saml:NameID>'
            f'<saml:SubjectConfirmation Method="{_SAML}:cm:bearer">{confirmed}</saml:SubjectConfirmation></saml:Subject>'
            f'<saml:Conditions NotBefore="{since}" NotOnOrAfter="{until}"><saml:AudienceRestriction>'
            f"<saml:Audience>{_text(self.audience)}</saml:Audience></saml:AudienceRestriction></saml:Conditions>"
            f'<saml:AuthnStatement AuthnInstant="{at}" SessionIndex="{_attribute(number)}"><saml:AuthnContext><saml:AuthnContextClassRef>'
            f"{_SAML}:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
            f"{self._stated()}</saml:Assertion>"
        )
        return before, after

    def _stated(self) -> str:
        each = "".join(
            f'<saml:Attribute Name="{_attribute(name)}"><saml:AttributeValue>{_text(value)}</saml:AttributeValue></saml:Attribute>'
            for name, value in self.attributes.items()
        )
        return f"<saml:AttributeStatement>{each}</saml:AttributeStatement>" if each else ""


def _signed_info(number: str, digest: str) -> str:
    """SignedInfo in canonical form, as an element of its own."""
    return (
        f'<ds:SignedInfo xmlns:ds="{_DS}"><ds:CanonicalizationMethod Algorithm="{_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{_RSA_SHA256}"></ds:SignatureMethod><ds:Reference URI="#{_attribute(number)}"><ds:Transforms>'
        f'<ds:Transform Algorithm="{_DS}enveloped-signature"></ds:Transform><ds:Transform Algorithm="{_C14N}"></ds:Transform>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{_SHA256}"></ds:DigestMethod><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>'
        "</ds:SignedInfo>"
    )


def _time(moment: datetime) -> str:
    return clock.to_text(moment).partition(".")[0] + "Z"


def _legal(text: str) -> str:
    """Without what no XML 1.0 document may hold."""
    return "".join(
        letter for letter in text if letter in "\t\n" or "\x20" <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd" or letter > "\uffff"
    )


def _text(text: str) -> str:
    return _legal(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(text: str) -> str:
    """As canonical XML has it: `>` stays, white space is escaped."""
    plain = _legal(text).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return plain.replace("\t", "&#x9;").replace("\n", "&#xA;")


def _bare(certificate: str) -> str:
    """A certificate without its PEM lines."""
    return "".join(line.strip() for line in certificate.splitlines() if line.strip() and not line.startswith("-----"))
