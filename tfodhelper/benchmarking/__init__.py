"""Exported models side by side: precision, speed, memory, size."""
