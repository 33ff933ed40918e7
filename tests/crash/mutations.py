"""Guarantees broken on purpose, which only a real disk or a flipped bit shows."""

from __future__ import annotations

from tests.delivery.mutations import Mutation

_CRASH = "tests/crash/test_crash.py::test_what_was_accepted_survives"

MUTATIONS = [
    Mutation(
        "a commit is not flushed",
        "gateway/journal/files.py",
        "        os.fdatasync(self._fd)\n",
        "        pass\n",
        f"{_CRASH}[ext4]",
    ),
    Mutation(
        "a segment's name is not flushed",
        "gateway/journal/files.py",
        "            os.fsync(fd)\n",
        "            pass\n",
        "tests/journal/test_faults.py::test_a_folder_is_flushed_where_its_names_are_kept",
    ),
    Mutation(
        "a commit is not written",
        "gateway/journal/tail.py",
        '            self.file.write(b"".join(frames), self.end)\n',
        "            pass\n",
        f"{_CRASH}[kills]",
    ),
    Mutation(
        "a tomb has one seal only",
        "gateway/journal/segment.py",
        "        frames = tail[:-FOOTER_BYTES]\n",
        "        pass\n",
        "tests/journal/test_evict.py::"
        "test_a_bit_that_flips_in_a_gap_takes_nothing_of_what_it_names",
    ),
    Mutation(
        "a segment renamed on FAT is not flushed again",
        "gateway/journal/segment.py",
        "            file.sync()  # see `Files.rename`\n",
        "",
        "tests/journal/test_faults.py::"
        "test_on_fat_what_was_gathered_keeps_its_records_and_their_schema",
    ),
    Mutation(
        "a second name of a segment is used as a free file",
        "gateway/journal/pool.py",
        "            if generation in live:\n",
        "            if False:\n",
        "tests/journal/test_surgery.py::"
        "test_a_second_name_of_a_segment_in_the_pool_is_never_written",
    ),
    Mutation(
        "the payload of a frame is not checked",
        "gateway/journal/format.py",
        "    payload = content if crc32(content) == payload_crc else None\n",
        "    payload = content\n",
        f"{_CRASH}[flips]",
    ),
]
