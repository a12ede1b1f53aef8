"""Entities to Gold: lasting ids, golden values, stewards' word, the gate, rows to write."""
