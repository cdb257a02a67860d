"""A gateway and its neighbours on loopback ports: what tools/quickstart, tools/crash-test and tests/system stand on."""
