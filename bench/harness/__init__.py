"""What benches need around the programs they measure: screens, browsers, processes, relays."""
