"""Whom we trust: nobody that a person did not trust, and nothing weaker than was asked."""

from __future__ import annotations

import datetime
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from drivers.opcua import session
from drivers.opcua.driver import OpcuaDriver
from drivers.opcua.security import Pki
from gateway.clock import Clock
from gateway.errors import ConnectError
from gateway.messages import told
from tests.contract.test_driver_contract import closed_port
from tests.opcua.site import Plant, link_to

_DER = serialization.Encoding.DER
POLICIES = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
_WORD = {
    "Basic256Sha256": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    "Aes128Sha256RsaOaep": ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    "Aes256Sha256RsaPss": ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    "None": ua.SecurityPolicyType.NoSecurity,
    "Sign": ua.SecurityPolicyType.Basic256Sha256_Sign,
}


class _Operators(UserManager):
    """Lets in ``operator`` with the password ``sesame`` and nobody else."""

    def get_user(
        self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        known = (username, password) == ("operator", "sesame")
        return User(UserRole.User, username) if known else None


class _Holders(UserManager):
    """Lets in who has one certificate."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def get_user(
        self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        return User(UserRole.User, "holder") if certificate == self._der else None


@asynccontextmanager
async def secure(folder: Path, *policies: str, users: Any = None) -> AsyncIterator[Plant]:
    """A server that offers ``policies`` only; its certificate is ``folder/server.der``."""
    server = Plant(closed_port(), ("urn:plant:dcs",), {"a": 1.0})
    own = Pki(folder / "server")
    uri = own.application_uri()
    if users is not None:
        server.server.iserver.user_manager = users
    server.server.set_security_policy([_WORD[policy] for policy in policies])
    await server.server.init()
    await server.server.set_application_uri(uri)
    await server.server.load_certificate(str(own.certificate))
    await server.server.load_private_key(str(own.key))
    (folder / "server.der").write_bytes(own.certificate.read_bytes())
    await server.start(initialised=True)
    try:
        yield server
    finally:
        await server.server.stop()


def driver_in(folder: Path, url: str, security: str, more: str = "") -> OpcuaDriver:
    """A driver whose configuration lies in ``folder``."""
    text = f"security: {security}\n    timeout: 5s\n    {more}"
    link = link_to(url, "a", more=text)
    return OpcuaDriver(link.config.lies_in(folder), Clock())


def trust(folder: Path) -> None:
    (folder / "pki" / "trusted").mkdir(parents=True, exist_ok=True)
    (folder / "pki" / "trusted" / "server.der").write_bytes(
        (folder / "server.der").read_bytes()
    )


async def value_through(driver: OpcuaDriver) -> Any:
    link = link_to("opc.tcp://127.0.0.1:1", "a")
    (block,) = driver.plan(link.tags)
    try:
        await driver.connect()
        return list((await driver.read(block)).values)
    finally:
        await driver.close()


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_trusted_server_is_read_over_each_policy(policy: str, tmp_path: Path) -> None:
    async with secure(tmp_path, policy) as server:
        trust(tmp_path)
        driver = driver_in(tmp_path, server.url, f"{{policy: {policy}}}")
        assert await value_through(driver) == [1.0]


async def test_a_server_nobody_trusted_is_refused_and_kept_for_a_person_to_look_at(
    tmp_path: Path,
) -> None:
    async with secure(tmp_path, "Basic256Sha256") as server:
        driver = driver_in(tmp_path, server.url, "{policy: Basic256Sha256}")
        for _ in range(2):
            with pytest.raises(ConnectError, match="not trusted") as refused:
                await driver.connect()
            assert "服务器证书不受信任" in told(refused.value, "zh")
    (kept,) = (tmp_path / "pki" / "rejected").iterdir()
    assert kept.read_bytes() == (tmp_path / "server.der").read_bytes()
    assert not (tmp_path / "pki" / "trusted").exists()


async def test_a_server_that_offers_less_than_was_asked_is_refused_naming_what_it_offers(
    tmp_path: Path,
) -> None:
    async with secure(tmp_path, "None", "Basic256Sha256") as server:
        trust(tmp_path)
        driver = driver_in(tmp_path, server.url, "{policy: Aes256Sha256RsaPss}")
        with pytest.raises(ConnectError, match="Basic256Sha256/SignAndEncrypt") as refused:
            await driver.connect()
        assert "服务器不提供" in told(refused.value, "zh")


async def test_a_user_is_known_by_name_and_password_and_a_wrong_one_is_refused(
    tmp_path: Path,
) -> None:
    user = f"user: {{name: operator, password: {{file: {tmp_path}/password}}}}"
    async with secure(tmp_path, "Basic256Sha256", users=_Operators()) as server:
        trust(tmp_path)
        driver = driver_in(tmp_path, server.url, "{policy: Basic256Sha256}", user)
        (tmp_path / "password").write_text("sesame\n")
        assert await value_through(driver) == [1.0]
        (tmp_path / "password").write_text("guess\n")
        with pytest.raises(ConnectError) as refused:
            await driver.connect()
        assert re.search("服务器(拒绝|不允许|不接受)", told(refused.value, "zh"))


async def test_a_user_is_known_by_a_certificate_and_another_one_is_refused(
    tmp_path: Path,
) -> None:
    operator, stranger = Pki(tmp_path / "operator"), Pki(tmp_path / "stranger")
    for pki in (operator, stranger):
        pki.application_uri()
    users = _Holders(operator.certificate.read_bytes())
    async with secure(tmp_path, "Basic256Sha256", users=users) as server:
        trust(tmp_path)
        for pki in (operator, stranger):
            user = f"user: {{certificate: {pki.certificate}, key: {{file: {pki.key}}}}}"
            driver = driver_in(tmp_path, server.url, "{policy: Basic256Sha256}", user)
            if pki is operator:
                assert await value_through(driver) == [1.0]
            else:
                with pytest.raises(ConnectError):
                    await driver.connect()


async def test_a_channel_that_is_only_signed_is_used_where_that_was_asked(
    tmp_path: Path,
) -> None:
    async with secure(tmp_path, "Sign") as server:
        trust(tmp_path)
        asked = "{policy: Basic256Sha256, mode: Sign}"
        assert await value_through(driver_in(tmp_path, server.url, asked)) == [1.0]
        with pytest.raises(ConnectError, match="Basic256Sha256/Sign"):
            await driver_in(tmp_path, server.url, "{policy: Basic256Sha256}").connect()


async def test_a_channel_is_renewed_and_goes_on_with_new_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with secure(tmp_path, "Basic256Sha256") as server:
        trust(tmp_path)
        driver = driver_in(tmp_path, server.url, "{policy: Basic256Sha256}")
        (block,) = driver.plan(link_to("opc.tcp://127.0.0.1:1", "a").tags)
        monkeypatch.setattr(session, "RENEW_AFTER", 0.0)
        await driver.connect()
        assert [list((await driver.read(block)).values) for _ in range(5)] == [[1.0]] * 5
        await driver.close()


def test_a_server_whose_authority_is_trusted_is_trusted_and_one_of_a_namesake_is_not(
    tmp_path: Path,
) -> None:
    pki, now = Pki(tmp_path / "pki"), datetime.datetime.now(datetime.UTC)
    authority, namesake = (_authority() for _ in range(2))
    trusted = tmp_path / "pki" / "trusted"
    trusted.mkdir(parents=True)
    (trusted / "park.der").write_bytes(authority[0].public_bytes(_DER))
    pki.check(_issued_by(*authority), "urn:dcs", now)
    with pytest.raises(ConnectError, match="not trusted"):
        pki.check(_issued_by(*namesake), "urn:dcs", now)


def _authority() -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _certificate("park", "park", key, key, ca=True), key


def _issued_by(authority: x509.Certificate, key: rsa.RSAPrivateKey) -> bytes:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _certificate("dcs", "park", own, key, ca=False).public_bytes(_DER)


def _certificate(
    subject: str, issuer: str, key: rsa.RSAPrivateKey, signer: rsa.RSAPrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)
    ]
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:{subject}")])
    return (
        x509.CertificateBuilder(names[1], names[0], key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(uri, critical=False)
        .sign(signer, hashes.SHA256())
    )


def test_the_key_is_for_us_alone_and_made_once(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    uri = pki.application_uri()
    key = pki.key.read_bytes()
    assert stat.S_IMODE(pki.key.stat().st_mode) == 0o600
    assert Pki(tmp_path / "pki").application_uri() == uri
    assert pki.key.read_bytes() == key


def test_a_trusted_certificate_out_of_date_or_of_another_application_is_refused(
    tmp_path: Path,
) -> None:
    server = Pki(tmp_path / "server")
    uri = server.application_uri()
    pki, der = Pki(tmp_path / "pki"), server.certificate.read_bytes()
    (tmp_path / "server.der").write_bytes(der)
    trust(tmp_path)
    now = datetime.datetime.now(datetime.UTC)
    pki.check(der, uri, now)
    with pytest.raises(ConnectError, match="calls itself"):
        pki.check(der, "urn:someone:else", now)
    with pytest.raises(ConnectError, match="valid from"):
        pki.check(der, uri, now + datetime.timedelta(days=9999))
