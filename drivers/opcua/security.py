"""Certificates: our own, those of servers we trust, and those we refused.

``pki/own/`` holds our certificate and key, made at the first need, the key for us alone.
``pki/trusted/`` holds certificates of servers, or of authorities whose servers we trust.
A server that is in neither is refused and its certificate is kept in ``pki/rejected/``: a
person looks at it and moves it. Nothing is ever trusted by itself.
"""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import ConnectError

__all__ = ["VALID_DAYS", "InvalidSignature", "Pki"]

VALID_DAYS: Final = 5 * 365
_KEY_BITS: Final = 2048


class Pki:
    """The folder ``pki`` beside the configuration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = folder / "own" / "certificate.der"
        self.key = folder / "own" / "key.pem"

    def application_uri(self) -> str:
        """The URI in our own certificate, which is made when there is none.

        Raises:
            ConnectError: It can neither be read nor written.
        """
        try:
            if not self.certificate.exists():
                _make(self.certificate, self.key)
            return _uris(x509.load_der_x509_certificate(self.certificate.read_bytes()))[0]
        except (OSError, ValueError, IndexError) as error:
            raise ConnectError(f"own certificate {self.certificate}: {error}").in_words(
                "opcua_own_certificate", file=self.certificate, reason=error
            ) from error

    def check(self, der: bytes, application_uri: str, now: datetime.datetime) -> None:
        """Refuse a server's certificate unless a person trusted it.

        application_uri: what the server says it is. A certificate that nobody trusts is
        kept in ``rejected``.

        Raises:
            ConnectError: Naming the reason and what to do.
        """
        try:
            certificate = x509.load_der_x509_certificate(der)
        except ValueError as error:
            raise ConnectError(f"the server's certificate cannot be read: {error}").in_words(
                "opcua_certificate_unreadable"
            ) from error
        if not self._is_trusted(certificate):
            kept = self._reject(certificate, der)
            raise ConnectError(
                f"the server's certificate is not trusted; look at {kept}, and if it is the"
                f" server's, move it to {self._folder / 'trusted'}"
            ).in_words("opcua_not_trusted", file=kept, folder=self._folder / "trusted")
        since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not since <= now <= until:
            raise ConnectError(
                f"the server's certificate is valid from {since:%Y-%m-%d} to"
                f" {until:%Y-%m-%d}; renew it, or set the clock"
            ).in_words("opcua_certificate_dates", since=since.date(), until=until.date())
        if application_uri not in _uris(certificate):
            named = ", ".join(_uris(certificate)) or "-"
            raise ConnectError(
                f"the server calls itself {application_uri}, its certificate says {named}"
            ).in_words("opcua_certificate_uri", uri=application_uri, named=named)

    def _is_trusted(self, certificate: x509.Certificate) -> bool:
        return any(
            known == certificate or (_is_authority(known) and _issued(certificate, known))
            for known in self._trusted()
        )

    def _trusted(self) -> Iterator[x509.Certificate]:
        for file in sorted((self._folder / "trusted").glob("*")):
            content = file.read_bytes()
            try:
                if content.startswith(b"-----BEGIN"):
                    yield from x509.load_pem_x509_certificates(content)
                else:
                    yield x509.load_der_x509_certificate(content)
            except ValueError as error:
                raise ConnectError(f"{file} is no certificate: {error}").in_words(
                    "opcua_trusted_unreadable", file=file
                ) from error

    def _reject(self, certificate: x509.Certificate, der: bytes) -> Path:
        """Keep ``der`` for a person to look at, under its fingerprint."""
        name = certificate.fingerprint(hashes.SHA256()).hex()
        file = self._folder / "rejected" / f"{name}.der"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(der)
        except OSError as error:
            raise ConnectError(
                f"the server's certificate is not trusted; {file} cannot be written: {error}"
            ).in_words("opcua_not_kept", file=file, reason=error) from error
        return file


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _make(certificate_file: Path, key_file: Path) -> None:
    """Our own self-signed certificate, with the extensions that servers ask for (6.2.2)."""
    host = socket.gethostname()
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tidegate on {host}"[:64])])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.UniformResourceIdentifier(f"urn:{host}:tidegate"), x509.DNSName(host)]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate_file.parent.mkdir(parents=True, exist_ok=True)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key_file.touch(mode=0o600, exist_ok=False)
    key_file.write_bytes(pem)
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.DER))


def _usage() -> x509.KeyUsage:
    """Source: OPC 10000-6, 6.2.2."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
