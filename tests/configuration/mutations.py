"""Changes to the code that must not go unnoticed, each with the test that must fail."""

from __future__ import annotations

from tests.mutants import Mutation

_EVERY = "tests/configuration/test_every_mistake.py::"
_MANY = _EVERY + "test_every_one_of_many_mistakes_is_told_at_its_place_and_nothing_else"
_SINGLE = _EVERY + "test_a_single_mistake_is_told_at_its_place_and_brings_forth_no_other"
_LOADER = "tests/test_loader.py::"

MUTATIONS = [
    Mutation(
        "a wrong key hides what its neighbours say together",
        "gateway/loader/explain.py",
        "    for where, fault in clashes_in(model, node):\n",
        "    for where, fault in ():\n",
        _MANY,
    ),
    Mutation(
        "a misspelt key is taken for one that is not written",
        "gateway/loader/partly.py",
        "        if name in self._misspelt:\n",
        "        if False:\n",
        _SINGLE,
    ),
    Mutation(
        "a wrong key is taken for one that is not written",
        "gateway/loader/partly.py",
        "            raise Unknown(name) from None\n",
        "            return None\n",
        _MANY,
    ),
    Mutation(
        "a device that is wrong hides the addresses of its tags",
        "gateway/loader/assembly.py",
        "        for mistake in mistakes(config, address):\n",
        "        for mistake in mistakes(config, address) if scope.link is None else ():\n",
        _MANY,
    ),
    Mutation(
        "the first wrong text of a series hides the others",
        "gateway/series.py",
        "            found.append(mistake)\n    if not found:",
        "            return [mistake]\n    if not found:",
        _MANY,
    ),
    Mutation(
        "aliases multiply without an end",
        "gateway/loader/yaml_tree.py",
        "        if self._aliased > MAX_ALIASED:\n",
        "        if False:\n",
        _LOADER + "TestYaml::test_a_small_file_of_aliases_does_not_become_a_large_one",
    ),
    Mutation(
        "a mistake in a parameter is shown in the template",
        "gateway/loader/templates.py",
        "        twin.origins = dict(_origins(node.items(), given))\n",
        "",
        _LOADER + "TestReferences::"
        "test_a_mistake_in_a_parameter_is_shown_at_the_device_that_gives_it",
    ),
    Mutation(
        "what many devices share is told for each of them",
        "gateway/loader/problem.py",
        "found.code, found.path[-1:])",
        "found.code, found.path)",
        _LOADER + "TestWords::test_what_many_devices_share_is_told_once",
    ),
]
