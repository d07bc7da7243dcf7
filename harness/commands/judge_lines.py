"""The writing of a price and of a model's end in lists."""

from datetime import date


def format_dollars(price: float) -> str:
    """Format a price as prices are written: $10, $2.50, $0.125."""
    return f"${price:g}" if price == int(price) or round(price, 2) != price else f"${price:.2f}"


def format_end(day: str | None) -> str:
    """Format what a vendor announced of a model's end; empty where it announced none."""
    if not day:
        return ""
    return f"{'was' if day <= date.today().isoformat() else 'will be'} shut down on {day}, as announced"
