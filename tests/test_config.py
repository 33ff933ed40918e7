"""The models: the one table of keys, and what is made from it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from gateway.config import (
    Config,
    Defaults,
    DeviceConfig,
    JournalConfig,
    LinkConfig,
    Model,
    MqttConfig,
    Secret,
    TagConfig,
    is_loopback,
    passed_down,
)
from gateway.errors import ConfigError
from gateway.journal import Settings
from gateway.journal.words import KEPT_BACK
from gateway.loader import from_text
from gateway.loader.problem import Report
from gateway.loader.source import read
from gateway.loader.templates import Template
from gateway.model import Lane, TagClass
from gateway.notation import duration, seconds, size, size_bytes
from gateway.registry import driver, installed
from gateway.schema import reference, schema

ROOT = Path(__file__).parents[1]
README = (ROOT / "config/README.md").read_text()
TEMPLATES = sorted((ROOT / "config/templates").glob("*.yaml"))
MARK = "<!-- made by `tidegate schema --format markdown` -->\n\n"


def code_of(error: ValidationError) -> str:
    return error.errors()[0]["type"]


def tree_of(file: Path) -> Any:
    return read(file, Report())


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("250ms", 0.25),
        ("1s", 1.0),
        ("10m", 600.0),
        ("24h", 86400.0),
        ("7d", 604800.0),
        (0, 0.0),
    ],
)
def test_a_duration_has_a_number_and_a_unit(written: object, value: float) -> None:
    assert seconds(written) == value


@pytest.mark.parametrize(
    "written", [1, 1.5, "1", "s", "-1s", "1 s", "1S", "PT5S", True, None, []]
)
def test_a_duration_whose_unit_must_be_guessed_is_refused(written: object) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        seconds(written)
    assert caught.value.type == "not_a_duration"


@pytest.mark.parametrize(("written", "count"), [("64KiB", 65536), ("4GiB", 2**32), ("1B", 1)])
def test_a_size_is_in_binary_units(written: str, count: int) -> None:
    assert size_bytes(written) == count
    assert size(count) == written


@pytest.mark.parametrize("written", ["250ms", "1s", "90s", "10m", "36h", "7d"])
def test_a_duration_is_written_back_as_it_is_read(written: str) -> None:
    assert duration(seconds(written)) == written


def test_class_is_written_as_a_word() -> None:
    tag = TagConfig.model_validate({"name": "a", "address": "x", "class": "safety"})
    assert tag.tag_class is TagClass.SAFETY


def test_an_address_that_looks_like_a_number_needs_no_quotes() -> None:
    assert TagConfig.model_validate({"name": "a", "address": 40101}).address == "40101"


def test_models_are_frozen_and_know_no_other_keys() -> None:
    defaults = Defaults()
    with pytest.raises(ValidationError, match="frozen"):
        defaults.interval = 2.0
    with pytest.raises(ValidationError) as caught:
        Defaults.model_validate({"intervall": "1s"})
    assert code_of(caught.value) == "extra_forbidden"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)
    MqttConfig(urls=(f"mqtt://[{host}]" if ":" in host else f"mqtt://{host}",))


@pytest.mark.parametrize("host", ["10.0.0.1", "broker", "localhost.evil.example", "0.0.0.0"])
def test_every_other_host_needs_encryption_or_a_word(host: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MqttConfig(urls=(f"mqtt://{host}:1883",))
    assert code_of(caught.value) == "insecure_url"
    MqttConfig(urls=(f"mqtt://{host}:1883",), insecure=True)


@pytest.mark.parametrize(
    "url",
    ["http://h", "mqtts://", "h:8883", "mqtts://h:99999", "mqtts://h/x", "mqtts://[::1", ""],
)
def test_a_broker_has_a_scheme_and_a_host(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MqttConfig(urls=(url,))
    assert code_of(caught.value) == "not_a_broker_url"


@pytest.mark.parametrize("root", ["", "/a", "a/", "a//b", "a/+/b", "#", "$SYS", "a b"])
def test_a_root_is_made_of_plain_levels(root: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MqttConfig(urls=("mqtts://h",), root=root)
    assert code_of(caught.value) == "not_a_topic"


def test_old_acknowledgements_must_be_accepted_in_so_many_words() -> None:
    with pytest.raises(ValidationError) as caught:
        MqttConfig(urls=("mqtts://h",), version="3.1.1")
    assert code_of(caught.value) == "v3_not_accepted"
    MqttConfig(urls=("mqtts://h",), version="3.1.1", accept_v3_acknowledgements=True)


def test_every_size_that_is_accepted_holds_all_the_files_of_the_journal() -> None:
    for mib in range(1, 300):
        try:
            size = JournalConfig.model_validate({"path": "/j", "size": f"{mib}MiB"}).size
        except ValidationError:
            assert mib < 32
            continue
        settings = Settings(Path("/j"), size=size)
        shares = sum(settings.quota(lane) * settings.segment_bytes(lane) for lane in Lane)
        spare = KEPT_BACK * (settings.data_segment + settings.small_segment)
        assert shares + spare <= size


def test_the_defaults_are_those_of_the_design() -> None:
    journal = JournalConfig(path="/tmp/j")
    mqtt = MqttConfig(urls=("mqtts://h",))
    assert (journal.size, journal.commit, journal.memory) == (2 * 2**30, 0.25, 32 * 2**20)
    assert journal.retain_settled == 86400.0
    assert (mqtt.root, mqtt.version, mqtt.window) == ("tidegate/v1", 5, 64)
    assert (mqtt.catch_up, mqtt.delivery, mqtt.no_subscribers) == (3.0, "puback", "hold")
    assert (Defaults().interval, Defaults().max_silence) == (1.0, 60.0)


class TestSecret:
    def test_a_credential_is_read_when_it_is_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        secret = Secret(credential="mqtt-password")
        (tmp_path / "mqtt-password").write_text("s3cret\n")
        assert secret.read() == "s3cret"

    def test_a_file_is_read_when_it_is_used(self, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_text(" s3cret \n")
        assert Secret(file=str(file)).read() == " s3cret "

    def test_a_secret_that_is_not_there_is_named_by_its_path(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="none"):
            Secret(file=str(tmp_path / "none")).read()

    def test_a_credential_needs_systemd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY"):
            Secret(credential="mqtt-password").read()

    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/b", "..", ""])
    def test_a_credential_is_a_name_and_no_path(self, name: str) -> None:
        with pytest.raises(ValidationError):
            Secret(credential=name)

    @pytest.mark.parametrize("keys", [{}, {"credential": "a", "file": "b"}])
    def test_there_is_exactly_one_source(self, keys: dict[str, str]) -> None:
        with pytest.raises(ValidationError) as caught:
            Secret(**keys)
        assert code_of(caught.value) == "secret_source"


def test_what_the_inner_level_says_is_not_passed_down() -> None:
    link = LinkConfig.model_validate(
        {"name": "l", "driver": "x", "interval": "5s", "timeout": "2s", "label": "outer"}
    )
    device = DeviceConfig.model_validate({"name": "d", "interval": "1s"})
    passed = passed_down(link, device)
    assert (passed["timeout"], "interval" in passed) == (2.0, False)
    assert not {"name", "label"} & passed.keys()


class TestSchema:
    def test_the_schema_that_is_checked_in_is_the_one_the_models_make(self) -> None:
        assert json.loads((ROOT / "config/gateway.schema.json").read_text()) == schema()

    def test_it_is_a_schema_editors_read(self) -> None:
        found = schema()
        jsonschema_rs.meta.validate(found)
        told = json.dumps(found)
        for newer in ("$defs", "prefixItems", "unevaluated", "dependentRequired"):
            assert newer not in told

    @pytest.mark.parametrize(
        "file", [ROOT / "config/gateway.example.yaml"], ids=lambda file: file.name
    )
    def test_the_shipped_examples_fit_it(self, file: Path) -> None:
        jsonschema_rs.Draft7Validator(schema()).validate(tree_of(file))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("float32", "flot32"),
            ("timeout: 800ms", "timeout: 800"),
            ("unit: 1\n", "unit: one\n"),
            ("driver: modbus\n    url: tcp://10.10.1.20:502", "driver: modbus"),
            ("class: safety", "class: safty"),
            ("size: 4GiB", "size: 4G"),
        ],
    )
    def test_it_refuses_what_the_agent_refuses(
        self, before: str, after: str, tmp_path: Path
    ) -> None:
        text = (ROOT / "config/gateway.example.yaml").read_text()
        assert before in text
        file = tmp_path / "f.yaml"
        file.write_text(text.replace(before, after))
        assert not jsonschema_rs.Draft7Validator(schema()).is_valid(tree_of(file))

    def test_a_drop_in_fits_it(self) -> None:
        validator = jsonschema_rs.Draft7Validator(schema())
        validator.validate({"version": 1, "links": [{"name": "a", "driver": "sim"}]})

    def test_every_key_of_every_driver_is_described(self) -> None:
        definitions = schema()["definitions"]
        bare = {
            (name, key)
            for name, definition in definitions.items()
            for key, prop in definition.get("properties", {}).items()
            if not prop.get("description")
        }
        assert not bare


class TestReference:
    def test_the_key_reference_is_the_one_the_models_make(self) -> None:
        assert README.split(MARK)[1] == reference()

    @pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
    def test_every_example_in_it_loads(self, block: str) -> None:
        assert from_text(block).links

    def test_every_key_of_every_model_is_in_it(self) -> None:
        kinds: list[type[Model]] = [Config, MqttConfig, JournalConfig, Defaults]
        for word in installed():
            found = driver(word)
            kinds += [found.Link, found.Device, found.Tag]
        keys = {
            field.alias or name for kind in kinds for name, field in kind.model_fields.items()
        }
        assert not {key for key in keys if f"| `{key}` |" not in README}


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
class TestTemplates:
    def test_a_shipped_template_names_its_source(self, file: Path) -> None:
        template = Template.model_validate(tree_of(file))
        assert template.source.manual
        assert template.title

    def test_a_shipped_template_loads_with_its_defaults(self, file: Path) -> None:
        word = Template.model_validate(tree_of(file)).driver
        site = from_text(
            "version: 1\ngateway: {id: a}\nmqtt: {urls: [mqtts://b]}\njournal: {path: /j}\n"
            f"links: [{{name: l, driver: {word}, url: tcp://127.0.0.1:502,"
            f" devices: [{{name: d, unit: 1, template: {file.stem}}}]}}]\n"
        )
        assert site.links[0].tags


def test_the_gas_panel_has_its_probes_where_the_map_says() -> None:
    site = from_text((ROOT / "config/gateway.example.yaml").read_text())
    tags = {tag.name: tag for tag in site.links[1].tags}
    assert tags["p001.lel"].address.offset == 0x0102
    assert tags["p016.lel"].address.offset == 0x0102 + 2 * 15
    assert tags["p016.alarm-2"].address.offset == 0x0101 + 2 * 15
    assert "p017.lel" not in tags
