"""From source to packets: in software or in hardware."""
