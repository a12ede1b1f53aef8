"""The way back: differences between our tables and what a system holds, sent there once."""
