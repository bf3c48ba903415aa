"""Write the contact sheets of the README: ``python -m coverslip.data.synthetic docs/images``."""

from __future__ import annotations

import sys
from pathlib import Path

from coverslip.data.synthetic.sheets import contact_sheet


def main(folder: Path) -> None:
    """Write ``contact_sheet.jpg`` and ``tissue_sheet.jpg`` into ``folder``."""
    contact_sheet("leaf", tile=150, seed=4).save(folder / "contact_sheet.jpg", quality=88)
    contact_sheet("tissue", tile=220, columns=5, seed=2).save(folder / "tissue_sheet.jpg", quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
