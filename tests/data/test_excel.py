"""Tables in Excel workbooks."""

import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.data.scan import scan

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook {MAIN} xmlns:r="{OFFICE}"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>',
}


def write_workbook(path, rows):
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in PARTS.items():
            archive.writestr(name, content)
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {MAIN}><sheetData>{cells}</sheetData></worksheet>")


@pytest.fixture
def workbook(tmp_path):
    rows = [("Path", "Label")]
    for number in range(6):
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
        rows.append((f"{number}.png", "ab"[number % 2]))
    write_workbook(tmp_path / "leaves.xlsx", rows)
    return tmp_path / "leaves.xlsx"


def test_a_workbook_is_read_as_a_table(workbook):
    table = scan(workbook)
    assert table.paths == [f"{number}.png" for number in range(6)]
    assert table.frame["label"].to_list() == ["a", "b"] * 3


def test_without_its_reader_a_workbook_is_refused_with_the_remedy(workbook, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(UserError, match=r"coverslip\[excel\]"):
        scan(workbook)


def test_a_file_that_is_no_workbook_is_refused(tmp_path):
    (tmp_path / "leaves.xlsx").write_bytes(b"path,label\n")
    with pytest.raises(UserError, match=r"leaves\.xlsx"):
        scan(tmp_path / "leaves.xlsx")
