"""From bytes to rows: encodings, broken lines, headers, archives."""

import csv
import io
import zipfile
from pathlib import Path

import pytest

from app.errors import InvalidInput
from app.ingest.reading import MAX_LINE, Reader, SourceRow, UnreadableFile
from app.ingest.sources import open_sources

FEATURES = "key,name,category\n"


def read(folder: Path, name: str, content: bytes) -> list[SourceRow]:
    """Return the rows of one file of this content."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    with open_sources(folder) as sources:
        (source,) = sources.files
        return [row for chunk in Reader(source).chunks(2) for row in chunk]


def summary(rows: list[SourceRow]) -> list[tuple[int, object]]:
    """Return each row's line with its values, or with what is wrong."""
    return [(row.line, row.problem or row.values) for row in rows]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_csv_with_and_without_a_byte_order_mark_and_any_line_end(tmp_path: Path, mark: bytes, end: bytes) -> None:
    content = mark + end.join([b"key, name ,category", b'a,"One, ""two""",core', b"b, x ,", b""])
    assert summary(read(tmp_path, "features.csv", content)) == [
        (2, ("a", 'One, "two"', "CORE")),
        (3, ("b", "x", None)),
    ]


def test_columns_in_any_order_left_out_and_unknown(tmp_path: Path) -> None:
    path = tmp_path / "features.csv"
    path.write_text("colour,category,key,,colour\nred,advanced,a,,blue\n")
    with open_sources(tmp_path) as sources:
        reader = Reader(sources.files[0])
        assert [row.values for chunk in reader.chunks(10) for row in chunk] == [("a", None, "ADVANCED")]
        assert list(reader.unknown_columns) == ["colour"]


def test_a_quoted_field_may_span_lines_and_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    content = FEATURES + 'a,"x\ny",\n\nb,z,\n'
    assert summary(read(tmp_path, "features.csv", content.encode())) == [
        (2, ("a", "x\ny", None)),
        (5, ("b", "z", None)),
    ]


def test_rows_with_too_few_or_too_many_fields_cost_themselves(tmp_path: Path) -> None:
    rows = read(tmp_path, "features.csv", (FEATURES + "a,x\nb,x,CORE,1\nc,x,CORE\n").encode())
    assert summary(rows) == [
        (2, "the row has 2 fields where the header has 3"),
        (3, "the row has 4 fields where the header has 3"),
        (4, ("c", "x", "CORE")),
    ]


def test_an_unclosed_quote_costs_its_line_and_not_the_rest(tmp_path: Path) -> None:
    rows = read(tmp_path, "features.csv", (FEATURES + 'a,"x,CORE\nb,y,CORE\nc,z,CORE\nd,"w"w,\ne,v,').encode())
    assert [row.line for row in rows] == [2, 3, 4, 5, 6]
    assert [row.values for row in rows if row.problem is None] == [
        ("b", "y", "CORE"),
        ("c", "z", "CORE"),
        ("e", "v", None),
    ]
    assert [str(row.problem).partition(":")[0] for row in rows if row.problem] == ["the line is not valid CSV"] * 2
    assert rows[0].content == 'a,"x,CORE'


def test_an_unclosed_quote_before_many_lines_is_found_as_well(tmp_path: Path) -> None:
    content = FEATURES + 'a,"x,CORE\n' + "".join(f"k{number},y,CORE\n" for number in range(20_000))
    rows = read(tmp_path, "features.csv", content.encode())
    assert len(rows) == 20_001
    assert [row.line for row in rows if row.problem] == [2]
    assert rows[-1][:2] == (20_002, ("k19999", "y", "CORE"))


def test_bytes_that_are_no_utf8_cost_their_row(tmp_path: Path) -> None:
    rows = read(tmp_path, "features.csv", FEATURES.encode() + "a,é,\n".encode("latin-1") + "b,é,\n".encode())
    assert summary(rows) == [(2, "the row is not valid UTF-8"), (3, ("b", "é", None))]
    rows = read(tmp_path / "json", "features.ndjson", b'{"key": "a\xff"}\n{"key": "b"}\n{"key": "\\ud800"}\n')
    assert summary(rows) == [
        (1, "the row is not valid UTF-8"),
        (2, ("b", None, None)),
        (3, "the row is not valid UTF-8"),
    ]


def test_nul_characters_cost_their_row(tmp_path: Path) -> None:
    assert summary(read(tmp_path, "features.csv", FEATURES.encode() + b"a,\x00,\nb,,\n")) == [
        (2, "the row holds a NUL character"),
        (3, ("b", None, None)),
    ]
    assert summary(read(tmp_path / "json", "features.jsonl", b'{"key": "a\\u0000"}\n')) == [
        (1, "the row holds a NUL character")
    ]


def test_json_lines_hold_plain_values_numbers_as_written(tmp_path: Path) -> None:
    content = (
        '\ufeff{"client": 12, "external_id": "C1", "assigned": 10, "completed": 4.0, "name": null, "extra": [1]}\n'
        "\n"
        '{"client": " a ", "external_id": 1.50, "kind": "attestation"}\r\n'
    )
    assert summary(read(tmp_path, "campaigns.jsonl", content.encode())) == [
        (1, ("12", "C1", None, None, 10, 4, None)),
        (3, ("a", "1.50", None, "ATTESTATION", None, None, None)),
    ]


def test_broken_json_lines_cost_themselves(tmp_path: Path) -> None:
    content = (
        '{"key": "a"}\n{"key": \n[1]\n"x"\n' + "[" * 100_000 + '\n{"key": {"a": 1}}\n{}\n{"key": "z", "name": NaN}\n'
    )
    assert summary(read(tmp_path, "features.jsonl", content.encode())) == [
        (1, ("a", None, None)),
        (2, "the line is not valid JSON"),
        (3, "the line is not a JSON object"),
        (4, "the line is not a JSON object"),
        (5, "the line is not valid JSON"),
        (6, "key is a list or an object: it must be a plain value"),
        (7, "key is missing: every row needs one"),
        (8, ("z", "NaN", None)),
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cases.csv", b"external_id,opened_at\n", "its header has no column client"),
        ("cases.csv", b"", "its header has no column client, external_id"),
        ("cases.csv", b"client;external_id\n", "its header has no column client, external_id"),
        ("cases.csv", "client,external_id\n".encode("utf-16"), "its header has no column client, external_id"),
        ("cases.csv", b'client,"external_id\nA,1\n', "its header is not valid CSV: unexpected end of data"),
        ("cases.csv", b"client,client,external_id\n", "its header has the column client twice"),
        ("cases.jsonl", b"client,external_id\nA,1\n", "none of its lines is a JSON object"),
        ("cases.csv", b"x" * (MAX_LINE + 1), f"line 1 is longer than {MAX_LINE} characters"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFile) as raised:
        read(tmp_path, name, content)
    assert str(raised.value) == reason


def test_rows_before_an_unreadable_point_come_out_first(tmp_path: Path) -> None:
    (tmp_path / "features.csv").write_text(FEATURES + "a,,\nb,,\nc,,\n" + "x" * (MAX_LINE + 1))
    with open_sources(tmp_path) as sources:
        chunks = Reader(sources.files[0]).chunks(2)
        assert [row.values[0] for row in next(chunks)] == ["a", "b"]
        assert [row.values[0] for row in next(chunks)] == ["c"]
        with pytest.raises(UnreadableFile, match="line 5 is longer"):
            next(chunks)


def test_an_empty_json_lines_file_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, "cases.jsonl", b"\n") == []


def test_files_come_in_the_order_of_the_kinds_and_strangers_are_named(tmp_path: Path) -> None:
    for name in ("tickets.csv", "logins.jsonl", "Clients.CSV", "clients.ndjson", "notes.csv", "readme.txt", ".x.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "cases.csv").mkdir()
    with open_sources(tmp_path) as sources:
        assert [file.name for file in sources.files] == ["Clients.CSV", "clients.ndjson", "logins.jsonl", "tickets.csv"]
        assert sources.ignored == ("notes.csv",)


def test_an_archive_is_read_with_or_without_its_folder(tmp_path: Path) -> None:
    for prefix in ("", "export/"):
        path = tmp_path / "data.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{prefix}features.csv", FEATURES + "a,x,CORE\n")
            archive.writestr(f"__MACOSX/{prefix}features.csv", "rubbish")
            archive.writestr(f"{prefix}clients.jsonl", '{"external_id": "A"}')
        with open_sources(path) as sources:
            assert [file.name for file in sources.files] == ["clients.jsonl", "features.csv"]
            reader = Reader(sources.files[1])
            assert [row.values for chunk in reader.chunks(9) for row in chunk] == [("a", "x", "CORE")]
            assert reader.bytes_read == len(FEATURES + "a,x,CORE\n")


def test_an_archive_with_two_folders_of_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("new/features.csv", FEATURES)
        archive.writestr("old/features.csv", FEATURES)
    with pytest.raises(InvalidInput, match="more than one folder"), open_sources(path):
        pass


def test_a_damaged_entry_is_unreadable(tmp_path: Path) -> None:
    content = (FEATURES + "".join(f"key-{number},x,CORE\n" for number in range(1_000))).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("features.csv", content)
    path = tmp_path / "data.zip"
    path.write_bytes(buffer.getvalue().replace(b"key-500,", b"key-5OO,", 1))
    with open_sources(path) as sources, pytest.raises(UnreadableFile, match="CRC"):
        list(Reader(sources.files[0]).chunks(100))


def test_an_entry_that_unpacks_to_far_too_much_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("features.csv", "w") as entry,
    ):
        for _ in range(120):
            entry.write(bytes(1_000_000))
    with open_sources(path) as sources, pytest.raises(UnreadableFile, match="times its packed size"):
        list(Reader(sources.files[0]).chunks(100))


def test_an_encrypted_entry_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "secret.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.csv", FEATURES)
    packed = bytearray(path.read_bytes())
    packed[6] |= 1  # The flag of encryption in the local header, and the same in the directory.
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(packed)
    with open_sources(path) as sources, pytest.raises(UnreadableFile, match="encrypted"):
        list(Reader(sources.files[0]).chunks(100))


def test_paths_without_anything_to_import_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and nothing more")
    for path, message in (
        (tmp_path / "missing", "does not exist"),
        (tmp_path, "holds no file to import"),
        (broken, "neither a readable folder nor a zip archive"),
        (tmp_path / "notes.txt", "neither a readable folder nor a zip archive"),
    ):
        with pytest.raises(InvalidInput, match=message), open_sources(path):
            pass


def test_what_a_csv_writer_writes_is_read_back(tmp_path: Path) -> None:
    names = ["a", 'q"uote', "com,ma", "new\nline", "é😀", "=1+1", "%_\\"]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["key", "name"])
    writer.writerows([[f"k{number}", name] for number, name in enumerate(names)])
    assert [row.values[1] for row in read(tmp_path, "features.csv", text.getvalue().encode())] == names
