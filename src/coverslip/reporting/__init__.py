"""Reports of runs and audits as HTML pages. They are built from the files of a run folder only."""

from __future__ import annotations

from coverslip.reporting.audit_page import write_audit_page
from coverslip.reporting.run_page import write_report

__all__ = ["write_audit_page", "write_report"]
