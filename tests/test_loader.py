"""From a file to a site: what a person may rely on when writing one."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError, field_validator

from gateway import registry
from gateway.config import Model
from gateway.errors import ConfigError
from gateway.loader import Site, WrongConfigError, from_text, inspect, load
from gateway.loader.explain import explain
from gateway.loader.problem import Problem, Report
from gateway.loader.source import MAX_FILE_BYTES
from gateway.loader.yaml_tree import MAX_DEPTH, parse, resolve
from gateway.model import Conversion, DataType, Scale, Tag, TagClass

ROOT = Path(__file__).parents[1]
EXAMPLE = (ROOT / "config/gateway.example.yaml").read_text()


def whole(tags: str, *, device: str = "", link: str = "", top: str = "") -> str:
    """A configuration around a list of tags; ``device``, ``link`` and ``top`` add keys."""
    parts = [
        "version: 1\ngateway: {id: cr1}\n",
        "mqtt: {urls: [mqtts://broker.example:8883]}\njournal: {path: /tmp/journal}\n",
        top and dedent(top).rstrip() + "\n",
        "links:\n  - name: line-1\n    driver: modbus\n    url: tcp://10.0.0.5:502\n",
        link and indent(dedent(link).strip(), "    ") + "\n",
        "    devices:\n      - name: plc1\n        unit: 1\n",
        device and indent(dedent(device).strip(), "        ") + "\n",
        "        tags:\n" + indent(dedent(tags).strip(), "          ") + "\n",
    ]
    return "".join(parts)


def tags_of(tags: str, **levels: str) -> tuple[Tag, ...]:
    return from_text(whole(tags, **levels)).links[0].tags


def tag_of(tag: str, **levels: str) -> Tag:
    (found,) = tags_of(f"- {tag}", **levels)
    return found


def problems_in(text: str) -> list[Problem]:
    with pytest.raises(WrongConfigError) as caught:
        from_text(text, "f.yaml")
    return caught.value.problems


def codes_in(text: str) -> list[str]:
    return [problem.code for problem in problems_in(text)]


LEVEL = "{name: level, address: holding/100, type: float32}"


class TestYaml:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("on", "on"), ("no", "no"), ("0502", 502), ("0x1F", 31), ("0o17", 15),
            ("1e3", 1000.0), ("12:30:00", "12:30:00"), ("2026-01-01", "2026-01-01"),
            ("true", True), ("True", True), ("~", None), ("null", None), ("", None),
            (".5", 0.5), ("-7", -7), ("1_000", "1_000"), ("-", "-"), ("9" * 99, "9" * 99),
        ],
    )  # fmt: skip
    def test_plain_scalars_follow_the_core_schema_of_1_2(
        self, written: str, value: Any
    ) -> None:
        assert resolve(written) == value
        assert type(resolve(written)) is type(value)

    def test_quoted_scalars_are_always_text(self) -> None:
        assert parse("a: '1'\nb: \"true\"\n", "f")[0] == {"a": "1", "b": "true"}

    def test_every_value_knows_its_place(self) -> None:
        tree, _ = parse("a:\n  - b: {c: 1}\n", "f")
        assert tree["a"][0]["b"].value_place("c") == ("f", 2, 12)
        assert tree["a"][0]["b"].key_place("c") == ("f", 2, 9)

    def test_aliases_are_told_one_by_one_and_stand_for_what_was_meant(self) -> None:
        value, problems = parse("a: &a [x, y]\nb: *a\nc: {<<: {d: 1}, e: 2}\n", "f")
        assert value == {"a": ["x", "y"], "b": ["x", "y"], "c": {"d": 1, "e": 2}}
        assert [(found.code, found.line, found.column) for found in problems] == [
            ("yaml_anchor", 1, 4), ("yaml_anchor", 2, 4), ("yaml_anchor", 3, 5),
        ]  # fmt: skip

    def test_a_small_file_of_aliases_does_not_become_a_large_one(self) -> None:
        lines = ["a0: &a0 [x, x, x, x]"]
        lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
        value, problems = parse("\n".join(lines), "f")
        assert problems[-1].code == "yaml_large"
        assert value is None

    def test_an_alias_inside_of_its_own_anchor_stands_for_nothing(self) -> None:
        assert parse("a: &a [*a]\n", "f")[0] == {"a": [None]}

    def test_an_alias_of_a_list_is_no_key(self) -> None:
        assert [found.code for found in parse("a: &a [1]\n*a : 2\n", "f")[1]][-1] == "yaml_key"

    @pytest.mark.parametrize("written", ["~", "true", "1.5", ".nan", "0.10"])
    def test_a_key_that_is_no_whole_number_is_the_text_that_was_written(
        self, written: str
    ) -> None:
        assert parse(f"{written}: 1\n", "f") == ({written: 1}, [])
        assert [found.code for found in problems_in(whole("", top=f"{written}: 1"))][:1] == [
            "unknown_key"
        ]

    def test_an_alias_of_no_anchor_is_a_key_too(self) -> None:
        assert "unknown_key" in codes_in(whole("", top="*x : 1"))

    def test_deep_nesting_is_refused(self) -> None:
        deep = "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)
        assert [problem.code for problem in parse(deep, "f")[1]] == ["yaml_deep"]

    def test_tags_of_yaml_never_make_objects(self) -> None:
        value, problems = parse("a: !!python/object/apply:os.getcwd []\n", "f")
        assert value == {"a": []}
        assert [problem.code for problem in problems] == ["yaml_tag"]

    def test_a_second_document_is_refused(self) -> None:
        assert [found.code for found in parse("a: 1\n---\nb: 2\n", "f")[1]] == [
            "yaml_documents"
        ]

    def test_a_control_character_is_named_with_its_place(self) -> None:
        (problem,) = parse("a: 1\nb: x\x00y\n", "f")[1]
        assert (problem.code, problem.line, problem.column) == ("control_character", 2, 5)


class TestFiles:
    def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(self, tmp_path: Path) -> None:
        file = tmp_path / "gateway.yaml"
        file.write_bytes(b"\xef\xbb\xbf" + whole(f"- {LEVEL}").replace("\n", "\r\n").encode())
        assert len(load(file).links[0].tags) == 1

    def test_gbk_is_refused_with_a_remedy(self, tmp_path: Path) -> None:
        file = tmp_path / "gateway.yaml"
        file.write_bytes("version: 1\ngateway: {id: a, label: 控制室}\n".encode("gbk"))
        problem = inspect(file)[1][0]
        assert (problem.code, problem.line) == ("not_utf8", 2)

    def test_a_huge_file_is_not_read(self, tmp_path: Path) -> None:
        file = tmp_path / "gateway.yaml"
        with file.open("wb") as out:
            out.truncate(MAX_FILE_BYTES + 1)
        assert [problem.code for problem in inspect(file)[1]] == ["file_huge"]

    def test_a_folder_is_not_a_file(self, tmp_path: Path) -> None:
        assert [problem.code for problem in inspect(tmp_path)[1]] == ["file_unreadable"]

    def test_drop_ins_add_links_in_the_order_of_their_names(self, tmp_path: Path) -> None:
        (tmp_path / "conf.d").mkdir()
        (tmp_path / "gateway.yaml").write_text(whole(f"- {LEVEL}"))
        for name in ("20-b", "10-a"):
            (tmp_path / "conf.d" / f"{name}.yaml").write_text(
                f"version: 1\nlinks: [{{name: {name}, driver: sim, devices: []}}]\n"
            )
        site = load(tmp_path / "gateway.yaml")
        assert [link.config.name for link in site.links] == ["line-1", "10-a", "20-b"]

    def test_an_error_carries_every_problem_and_says_it_in_words(self) -> None:
        with pytest.raises(ConfigError, match=r"f\.yaml:1:1: "):
            from_text("version: 1\n", "f.yaml")
        assert codes_in("version: 1\n") == ["missing_key"] * 3 + ["no_links"]

    def test_mistakes_in_several_files_are_told_together(self, tmp_path: Path) -> None:
        (tmp_path / "conf.d").mkdir()
        (tmp_path / "gateway.yaml").write_text(whole("- {name: a}"))
        (tmp_path / "conf.d/a.yaml").write_text("version: 1\nlinks: {}\n")
        files = {Path(problem.file).name for problem in inspect(tmp_path / "gateway.yaml")[1]}
        assert files == {"gateway.yaml", "a.yaml"}


class TestInheritance:
    def test_the_nearest_level_that_says_something_wins(self) -> None:
        levels = {"top": "defaults: {interval: 10s}", "link": "interval: 5s"}
        assert tag_of(LEVEL).interval_s == 1.0
        assert tag_of(LEVEL, top=levels["top"]).interval_s == 10.0
        assert tag_of(LEVEL, **levels).interval_s == 5.0
        assert tag_of(LEVEL, device="interval: 2s", **levels).interval_s == 2.0
        own = LEVEL.replace("}", ", interval: 250ms}")
        assert tag_of(own, device="interval: 2s", **levels).interval_s == 0.25

    def test_timeout_passes_from_defaults_to_devices(self) -> None:
        site = from_text(whole(f"- {LEVEL}", top="defaults: {timeout: 3s}"))
        assert site.links[0].config.devices[0].timeout == 3.0

    def test_keys_of_the_driver_pass_too(self) -> None:
        inherited = tag_of(LEVEL, link="order: CDAB").address
        assert inherited == tag_of(LEVEL.replace("}", ", order: CDAB}")).address
        assert inherited != tag_of(LEVEL).address

    def test_class_passes_from_device_to_tag(self) -> None:
        assert tag_of(LEVEL, device="class: safety").tag_class is TagClass.SAFETY

    def test_the_unit_id_of_a_device_is_not_the_unit_of_its_tags(self) -> None:
        assert tag_of(LEVEL).unit == ""

    def test_the_client_id_is_the_gateway_id(self) -> None:
        assert from_text(whole(f"- {LEVEL}")).config.mqtt.client_id == "cr1"


class TestSeries:
    def test_ranges_run_in_step_and_are_padded_as_written(self) -> None:
        tags = tags_of(
            '- {name: "p{08..11}.lel", address: "holding/{258..264..2}", type: uint16}'
        )
        assert [tag.name for tag in tags] == ["p08.lel", "p09.lel", "p10.lel", "p11.lel"]
        assert [tag.address.offset for tag in tags] == [258, 260, 262, 264]

    def test_ranges_may_count_down_and_stand_in_labels(self) -> None:
        tags = tags_of(
            '- {name: "p{3..1}", label: "探头 {3..1} {x}", address: "coil/{0..2}", type: bool}'
        )
        assert [(tag.name, tag.label) for tag in tags] == [
            ("p3", "探头 3 {x}"), ("p2", "探头 2 {x}"), ("p1", "探头 1 {x}"),
        ]  # fmt: skip

    def test_an_open_end_takes_the_length_of_the_others(self) -> None:
        tags = tags_of('- {name: "p{1..3}", address: "holding/{10..*..5}", type: int16}')
        assert [tag.address.offset for tag in tags] == [10, 15, 20]

    def test_tags_of_a_series_share_their_conversion(self) -> None:
        tags = tags_of(
            """
            - {name: "p{1..3}", address: "holding/{0..2}", type: int16, scale: 0.1}
            - {name: q, address: holding/9, type: int16, scale: 0.1}
            """
        )
        assert len({id(tag.conversion) for tag in tags}) == 1

    @pytest.mark.parametrize(
        ("name", "address", "code"),
        [
            ("p{1..4}", "holding/{0..2}", "series_uneven"),
            ("p{1..4}", "holding/7", "series_same_address"),
            ("p", "holding/{0..3}", "series_same_name"),
            ("p{1..4..0}", "holding/{0..3}", "series_zero_step"),
            ("p{1..*}", "holding/{0..*}", "series_open"),
            ("p{a..c}", "holding/{0..2}", "series_bad_range"),
            ("p{1..2}", "holding/{n}", "unknown_placeholder"),
            ("p{1..999999}", "holding/{1..999999}", "series_too_long"),
        ],
    )
    def test_a_series_that_cannot_be_meant_is_refused(
        self, name: str, address: str, code: str
    ) -> None:
        tag = f'- {{name: "{name}", address: "{address}", type: int16}}'
        assert codes_in(whole(tag)) == [code]


class TestResolving:
    @pytest.mark.parametrize(
        ("written", "scale"),
        [
            ("0.1", Scale(1, 0, 10)),
            ("{factor: 0.25, offset: -40}", Scale(1, -160, 4)),
            ("{raw: [0, 27648], span: [0, 1.6]}", Scale(1, 0, 17280)),
            ("{raw: [6400, 32000], span: [0, 25], ne43: true}",
             Scale(1, -6400, 1024, (6400.0, 32000.0))),
            ("1e-05", Scale(1, 0, 100000)),
        ],
    )  # fmt: skip
    def test_scales_are_exact_to_the_digits_written(self, written: str, scale: Scale) -> None:
        tag = tag_of(f"{{name: a, address: holding/1, type: int16, scale: {written}}}")
        assert tag.conversion == Conversion(scale=scale)

    def test_a_scaled_three_is_exactly_three_tenths(self) -> None:
        conversion = tag_of("{name: a, address: holding/1, type: int16, scale: 0.1}").conversion
        assert conversion is not None
        assert conversion.scale is not None
        assert (3 * conversion.scale.numerator) / conversion.scale.denominator == 0.3

    @pytest.mark.parametrize(
        ("keys", "deadband"),
        [
            ("deadband: 0.5", 0.5),
            ("deadband: 0", 0.0),
            ("deadband: 1%, range: [0, 10]", 0.1),
            ("deadband: 1%, scale: {raw: [0, 100], span: [-50, 150]}", 2.0),
            ("range: [0, 10]", None),
        ],
    )
    def test_a_dead_band_is_in_the_unit_of_the_tag(
        self, keys: str, deadband: float | None
    ) -> None:
        tag = tag_of(f"{{name: a, address: holding/1, type: int16, {keys}}}")
        assert tag.deadband == deadband

    def test_any_change_of_a_bool_counts_when_a_dead_band_is_inherited(self) -> None:
        tag = tag_of("{name: a, address: coil/1, type: bool}", link="deadband: 1%")
        assert tag.deadband == 0.0

    def test_everything_said_about_a_tag_arrives(self) -> None:
        tag = tag_of(
            "{name: a, label: 阀, address: holding/1, type: uint16, unit: Cel, interval: 2s,"
            " max_silence: 10m, class: background, range: [0, 5], clamp: true,"
            " sentinels: [65535]}"
        )
        assert (tag.label, tag.unit, tag.type) == ("阀", "Cel", DataType.UINT16)
        assert (tag.interval_s, tag.max_silence_s) == (2.0, 600.0)
        assert tag.tag_class is TagClass.BACKGROUND
        assert tag.conversion == Conversion(
            range=(0.0, 5.0), clamp=True, sentinels=frozenset({65535.0})
        )

    def test_words_for_raw_numbers_arrive(self) -> None:
        tag = tag_of("{name: a, address: holding/1, type: uint16, enum: {0: off, 1: on}}")
        assert tag.conversion == Conversion(enum={0: "off", 1: "on"})

    def test_limits_are_carried_by_device_and_tag(self) -> None:
        site = from_text(
            whole(
                '- {name: "p{1..2}", address: "holding/{1..2}", type: int16, alarms: {high: 9}}'
            )
        )
        alarms = site.links[0].alarms
        assert alarms.keys() == {("plc1", "p1"), ("plc1", "p2")}
        assert alarms["plc1", "p1"].high == 9.0

    @pytest.mark.parametrize(
        ("keys", "code"),
        [
            ("type: string, length: 4, scale: 2", "scale_not_numeric"),
            ("type: int16, invert: true", "invert_not_bool"),
            ("type: int16, scale: 0", "scale_zero"),
            ("type: int16, clamp: true", "clamp_needs_range"),
            ("type: int16, range: [5, 5]", "range_order"),
            ("type: int16, deadband: -1", "too_small"),
            ("type: int16, scale: .nan", "not_finite"),
            ("type: int16, scale: true", "not_a_mapping"),
            ("type: int16, interval: 0", "not_above"),
            ("type: int16, alarms: {}", "alarms_empty"),
            ("type: int16, alarms: {high: 2, low: 1, deadband: 1}", "alarms_deadband"),
            ("type: int16, enum: {0: a}, alarms: {high: 1}", "alarms_need_numbers"),
            ("type: string, length: 4, alarms: {high: 1}", "alarms_need_numbers"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, keys: str, code: str) -> None:
        assert codes_in(whole(f"- {{name: a, address: holding/1, {keys}}}")) == [code]


class TestReferences:
    def test_a_driver_of_another_package_is_found_by_its_entry_point(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sim = registry.driver("sim")

        class Entry:
            def load(self) -> object:
                return sim

        monkeypatch.setattr(registry, "_plugged_in", lambda: {"extra": Entry()})
        registry.driver.cache_clear()
        assert registry.driver("extra") is sim
        registry.driver.cache_clear()

    def test_a_driver_that_cannot_be_loaded_is_a_mistake_with_its_reason(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Entry:
            def load(self) -> object:
                raise ImportError("no module named asyncua")

        monkeypatch.setattr(registry, "_plugged_in", lambda: {"extra": Entry()})
        registry.driver.cache_clear()
        text = whole(f"- {LEVEL}").replace("driver: modbus", "driver: extra")
        (problem,) = problems_in(text)
        assert problem.code == "broken_driver"
        assert "asyncua" in problem.message("en")

    def test_a_misspelt_driver_is_checked_as_the_one_that_was_meant(self) -> None:
        text = whole("- {name: a, address: holding/1, type: flot}").replace(
            ": modbus", ": modbu"
        )
        assert codes_in(text) == ["unknown_driver", "not_one_of"]

    def test_a_template_beside_the_file_comes_before_the_shipped_ones(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "templates").mkdir()
        (tmp_path / "templates/pump.yaml").write_text(
            dedent("""
            version: 1
            title: a pump
            driver: modbus
            source: {manual: M1, revision: "2", page: "3"}
            parameters: {first: {default: 10}, factor: {}}
            tags: [{name: flow, address: "holding/{first}", type: int16, scale: "{factor}"}]
            """)
        )
        file = tmp_path / "gateway.yaml"
        file.write_text(whole("- {name: own, address: holding/1, type: int16}",
                              device="template: pump\nparameters: {factor: 0.5}"))  # fmt: skip
        tags = load(file).links[0].tags
        assert [(tag.name, tag.address.offset) for tag in tags] == [("flow", 10), ("own", 1)]
        assert tags[0].conversion == Conversion(scale=Scale(1, 0, 2))

    def test_a_mistake_in_a_template_is_shown_in_the_template(self, tmp_path: Path) -> None:
        (tmp_path / "templates").mkdir()
        template = tmp_path / "templates/pump.yaml"
        template.write_text(
            "version: 1\ntitle: a pump\ndriver: modbus\n"
            'source: {manual: M1, revision: "2", page: "3"}\n'
            "tags: [{name: flow, address: holding, type: int16}]\n"
        )
        file = tmp_path / "gateway.yaml"
        file.write_text(whole(f"- {LEVEL}", device="template: pump"))
        (problem,) = inspect(file)[1]
        assert (problem.file, problem.line) == (str(template), 5)

    def test_a_mistake_in_a_parameter_is_shown_at_the_device_that_gives_it(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "templates").mkdir()
        (tmp_path / "templates/pump.yaml").write_text(
            "version: 1\ntitle: a pump\ndriver: modbus\n"
            'source: {manual: M1, revision: "2", page: "3"}\n'
            "parameters: {first: {default: 1}, low: {default: 0}}\n"
            'tags: [{name: a, address: "holding/{first}", type: int16, range: ["{low}", 9]}]\n'
        )
        file = tmp_path / "gateway.yaml"
        more = "      - {name: plc%d, unit: 2, template: pump, parameters: %s}\n"
        file.write_text(
            whole(f"- {LEVEL}", device="template: pump\nparameters: {first: 70000}")
            + more % (2, "{low: abc, first: -1}")
            + more % (3, "{low: 9, first: [1]}")
        )
        found = [(Path(p.file).name, p.line, p.code) for p in inspect(file)[1]]
        assert found == [
            ("gateway.yaml", 13, "modbus_address_range"),
            ("gateway.yaml", 16, "not_a_number"),
            ("gateway.yaml", 16, "modbus_address"),
            ("gateway.yaml", 17, "not_text"),
        ]

    def test_a_template_cannot_be_fetched_from_elsewhere(self) -> None:
        assert codes_in(whole(f"- {LEVEL}", device="template: ../../etc/passwd")) == [
            "unknown_template"
        ]

    def test_unit_ids_may_repeat(self) -> None:
        text = whole(f"- {LEVEL}") + (
            "      - {name: plc2, unit: 1, tags: [{name: a, address: coil/1, type: bool}]}\n"
        )
        assert len(from_text(text).links[0].config.devices) == 2

    def test_names_are_compared_even_where_tags_are_wrong(self) -> None:
        tags = (
            "- {name: a, address: holding/1, type: flot}\n- {name: a, address: x, type: bool}"
        )
        assert "duplicate_tag" in codes_in(whole(tags))


class TestWords:
    def test_a_driver_may_raise_what_pydantic_lets_it_raise(self) -> None:
        class Strict(Model):
            code: str

            @field_validator("code")
            @classmethod
            def _refuse(cls, code: str) -> str:
                raise ValueError("codes are odd")

        node, _ = parse("code: x\n", "f.yaml")
        report = Report()
        with pytest.raises(ValidationError) as caught:
            Strict.model_validate(node)
        explain(caught.value, node, Strict, report)
        (problem,) = report.problems
        assert problem.message("en") == "`x` cannot be used here: codes are odd"

    def test_a_full_width_colon_inside_braces_is_found(self) -> None:
        (problem, *_) = problems_in(whole("- {name：level, address: holding/1, type: int16}"))
        assert (problem.code, problem.fields["character"]) == ("yaml_fullwidth", "：")

    def test_the_caret_stands_below_the_fault_behind_chinese_text(self) -> None:
        tag = "- {name: a, label: 液位, adress: holding/1, type: int16}"
        rendered = problems_in(whole(tag))[0].render("en").splitlines()
        before = rendered[1].split("adress")[0]
        assert len(rendered[2]) - 1 == len(before) + 2

    def test_a_misspelt_key_is_not_reported_as_missing_too(self) -> None:
        assert codes_in(whole("- {nam: a, address: holding/1, type: int16}")) == ["unknown_key"]

    def test_a_mistake_in_the_settings_does_not_hide_those_of_the_tags(self) -> None:
        text = whole("- {name: a, address: holding, type: int16}", device="interval: 5")
        assert codes_in(text) == ["not_a_duration", "modbus_address"]

    def test_the_caret_stands_below_the_fault_behind_accents_of_their_own(self) -> None:
        tag = "- {name: a, label: e\u0301e\u0301, adress: holding/1, type: int16}"
        rendered = problems_in(whole(tag))[0].render("en").splitlines()
        assert len(rendered[2]) - 1 == len(rendered[1].split("adress")[0]) - 2

    def test_what_many_devices_share_is_told_once(self) -> None:
        text = whole("- &t {name: a, address: hold/1, type: int16}") + (
            "      - {name: plc2, unit: 2, tags: [*t]}\n"
        )
        assert codes_in(text) == ["yaml_anchor", "modbus_table", "yaml_anchor"]

    def test_a_driver_nobody_knows_does_not_hide_the_keys_all_drivers_have(self) -> None:
        text = whole("- {name: a, address: x, interval: 5}", link="timeout: 5", device="gap: 1")
        text = text.replace("driver: modbus", "driver: profibus")
        assert codes_in(text) == ["unknown_driver", "not_a_duration", "not_a_duration"]

    def test_a_misspelt_key_driver_is_no_other_mistake(self) -> None:
        text = whole("- {name: a, address: hold/1, type: int16}").replace("driver:", "drvier:")
        assert codes_in(text) == ["unknown_key", "modbus_table"]

    def test_a_limit_is_told_in_the_unit_it_is_written_in(self) -> None:
        text = whole(f"- {LEVEL}").replace("/tmp/journal", "/tmp/journal, size: 1KiB")
        assert problems_in(text)[0].message("en") == "1KiB is too small: at least 32MiB"

    def test_what_a_decimal_comma_cut_short_is_not_judged(self) -> None:
        assert codes_in(whole("- {name: a, address: holding/1, type: int16, scale: 0,1}")) == [
            "decimal_comma"
        ]

    @pytest.mark.parametrize("levels", [{"device": "label: 5"}, {"link": "interval: 5"}])
    def test_nor_do_mistakes_of_a_link_or_a_label(self, levels: dict[str, str]) -> None:
        text = whole("- {name: a, address: holding, type: int16}", **levels)
        assert codes_in(text)[-1] == "modbus_address"

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [
            ("unit: 1", "unit: 300"),
            ("unit: 1", "label: x"),
            ("tcp:", "tpc:"),
            ("id: cr1", "x: y"),
        ],
    )
    def test_nor_does_a_url_a_unit_id_or_a_gateway_that_is_wrong(
        self, right: str, wrong: str
    ) -> None:
        text = whole("- {name: a, address: holding, type: int16}").replace(right, wrong)
        assert codes_in(text)[-1] == "modbus_address"
        assert len(codes_in(text)) >= 2

    def test_no_address_is_judged_by_settings_that_are_wrong(self) -> None:
        text = whole("- {name: a, address: 40001, type: int16}", device="addresing: modicon")
        assert codes_in(text) == ["unknown_key"]


class TestSecrets:
    @pytest.mark.parametrize(
        "line",
        [
            "mqtt: {urls: [mqtts://b:1], password: hunter2}",
            "mqtt: {urls: [mqtts://u:hunter2@b:1]}",
            "mqtt: {urls: [mqtts://b:1], passwort: 1, password: hunter2}",
            "mqtt: {urls: [mqtts://b:1], password: {value: hunter2}}",
            "mqtt: {urls: [mqtts://b:1], password: {credential: [hunter2]}}",
            "mqtt:\n  urls: [mqtts://b:1]\n  password:\n    value: hunter2",
            "mqtt:\n  urls: [mqtts://b:1]\n  password: hunter2: x",
        ],
    )
    def test_a_secret_in_the_file_is_never_repeated(self, line: str) -> None:
        text = whole(f"- {LEVEL}").replace("mqtt: {urls: [mqtts://broker.example:8883]}", line)
        for problem in problems_in(text):
            for told in (
                problem.render("en"),
                problem.render("zh"),
                str(problem.as_dict("en")),
            ):
                assert "hunter2" not in told


class TestFingerprint:
    def test_it_is_sixteen_hex_digits_and_the_same_each_time(self) -> None:
        first, second = (from_text(whole(f"- {LEVEL}")).fingerprint for _ in range(2))
        assert first == second
        assert len(bytes.fromhex(first)) == 8

    @pytest.mark.parametrize(
        "change",
        [("interval: 1s", "interval: 2s"), ("holding/100", "holding/102"), ("8883", "8884")],
    )
    def test_it_changes_with_anything_that_has_an_effect(self, change: tuple[str, str]) -> None:
        text = whole(f"- {LEVEL}", top="defaults: {interval: 1s}")
        assert from_text(text).fingerprint != from_text(text.replace(*change)).fingerprint

    def test_it_does_not_depend_on_how_the_same_is_written(self) -> None:
        series = '- {name: "p{1..2}", address: "holding/{1..2}", type: int16, scale: 2}'
        written = """
            - {address: holding/1, type: int16, name: p1, interval: 1000ms, scale: {factor: 2}}
            - {name: p2, address: holding/2, type: int16, scale: 2.0}  # the same
            """
        prints = {from_text(whole(tags)).fingerprint for tags in (series, written)}
        assert len(prints) == 1


def told_everything(text: str) -> list[Problem]:
    """The problems of any text; whatever else is raised is a bug."""
    try:
        found: Site = from_text(text)
    except WrongConfigError as error:
        return error.problems
    assert found.fingerprint
    return []


LIMITS = settings(max_examples=150, derandomize=True)


@LIMITS
@given(st.text(max_size=200))
def test_any_text_is_either_good_or_told_about(text: str) -> None:
    for problem in told_everything(text):
        assert problem.render("en")


@LIMITS
@given(st.data())
def test_any_damage_to_a_good_file_is_either_good_or_told_about(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(EXAMPLE) - 1))
    length = data.draw(st.integers(0, 40))
    patch = data.draw(
        st.sampled_from(["", " ", ":", "\t", "{", "]", "'", "：", "- x", "null", "0"])
    )
    text = EXAMPLE[:start] + patch + EXAMPLE[start + length :]
    for problem in told_everything(text):
        for lang in ("en", "zh"):
            assert problem.render(lang)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-10, 70000)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@LIMITS
@given(
    st.sampled_from(
        ["name", "address", "type", "scale", "range", "deadband", "alarms", "enum", "class",
         "interval", "sentinels", "label", "invert", "length", "bit", "order", "unit"]
    ),
    VALUES,
)  # fmt: skip
def test_any_value_of_any_key_is_either_good_or_told_about(key: str, value: Any) -> None:
    import json

    tag = {"name": "a", "address": "holding/1", "type": "int16", key: value}
    for problem in told_everything(whole("- " + json.dumps(tag))):
        assert "Input should" not in problem.render("en")
