"""Figures of a run: report, table, CSV, pcap."""
