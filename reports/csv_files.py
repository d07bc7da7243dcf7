"""Numbers as CSV."""

import csv
import io

from reports.blocks import Records


def csv_text(records: Records) -> str:
    """Make one line for each record below one with the fields; numbers unrounded, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(records.fields)
    writer.writerows(records.rows)
    return out.getvalue()
