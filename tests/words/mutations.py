"""Changes to the code that must not go unnoticed, each with the test that must fail."""

from __future__ import annotations

from tests.mutants import Mutation

_MESSAGES = "tests/words/test_messages.py::"
_SPOKEN = "tests/words/test_spoken.py::"
_TOLD = "tests/words/test_told.py::"

MUTATIONS = [
    Mutation(
        "the Chinese of a message loses a field",
        "gateway/messages/devices.py",
        '"{peer}：连接被拒绝"',
        '"连接被拒绝"',
        _MESSAGES + "test_both_languages_of_a_message_use_the_same_fields",
    ),
    Mutation(
        "an error that reaches people has no words",
        "drivers/modbus/transport.py",
        '.in_words("link_lost", peer=self)',
        "",
        _MESSAGES + "test_every_error_that_reaches_people_is_told_by_the_catalogue",
    ),
    Mutation(
        "a code that nobody uses stays in the catalogue",
        "gateway/cli/listening.py",
        'text("broker_cut", lang)',
        'text("interrupted", lang)',
        _MESSAGES + "test_every_code_of_the_catalogue_is_used",
    ),
    Mutation(
        "a verb says a sentence of its own",
        "gateway/cli/probe.py",
        'text("probe_stopped", lang)',
        '"not asked: interrupted by somebody"',
        _MESSAGES + "test_the_command_line_holds_no_sentence_of_its_own",
    ),
    Mutation(
        "an error inside a message is told in English",
        "gateway/messages/__init__.py",
        "told(value, lang) if isinstance(value, Exception) else value",
        "value",
        _MESSAGES + "test_an_error_inside_a_message_is_told_in_the_language_of_the_message",
    ),
    Mutation(
        "--lang counts only before the verb",
        "gateway/cli/spoken.py",
        'extra.setdefault("obj", language(_wish(args)))',
        'extra.setdefault("obj", language(_wish(args[:2])))',
        _SPOKEN + "test_the_language_may_be_chosen_anywhere",
    ),
    Mutation(
        "an error of usage comes in the words of click",
        "gateway/cli/spoken.py",
        "            raise Misuse(_told(error, ctx), ctx) from error\n",
        "            raise\n",
        _SPOKEN + "test_a_wrong_command_line_is_told_in_the_language_of_the_person",
    ),
    Mutation(
        "an example of a help page names an option that is not there",
        "gateway/messages/pages.py",
        "  tidegate plan -c gateway.yaml --round-trip 60    behind",
        "  tidegate plan -c gateway.yaml --roundtrip 60    behind",
        _SPOKEN + "test_every_example_of_a_help_page_is_a_command_line_that_is_understood",
    ),
    Mutation(
        "a journal that is open to others is told as any failure of the disk",
        "gateway/journal/ground.py",
        '_CLAIM_REFUSED.get(error.errno or 0, "journal_disk")',
        '"journal_disk"',
        _TOLD + "test_a_journal_that_others_may_read",
    ),
]
