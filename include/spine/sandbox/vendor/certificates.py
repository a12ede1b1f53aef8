"""Certificates of hosts that there are not, signed by an authority that lives as long as this process."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs for any host. `bundle` is what a client has to trust."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="spine-vendor-")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendors of the sandbox")])
        usage = x509.KeyUsage(
            False, False, False, False, False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False
        )
        builder = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, 0), True).add_extension(usage, True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._own = builder.add_extension(identifier, False).sign(self._key, hashes.SHA256())
        self.bundle = Path(self._folder.name) / "authority.pem"
        self.bundle.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))
        self.context = lru_cache(maxsize=256)(self._context)

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        today = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(today - datetime.timedelta(hours=1)).not_valid_after(today + datetime.timedelta(days=1))

    def _context(self, host: str) -> ssl.SSLContext:
        """What speaks TLS as this host."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a host")])
        builder = self._builder(name, key).add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
        signed = builder.sign(self._key, hashes.SHA256())
        path = Path(self._folder.name) / f"{x509.random_serial_number()}.pem"
        plain = serialization.NoEncryption()
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        path.unlink()
        return context


@lru_cache(maxsize=1)
def authority() -> Authority:
    """The one of this process."""
    return Authority()
