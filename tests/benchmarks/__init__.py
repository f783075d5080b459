"""How fast and how small: measured by hand, beside what people would use instead."""
