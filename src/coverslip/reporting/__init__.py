"""Pages from what a run wrote: they read its folder, and never the run's own objects."""

from __future__ import annotations

from coverslip.reporting.audit_page import write_audit_page
from coverslip.reporting.run_page import write_report

__all__ = ["write_audit_page", "write_report"]
