"""A configuration with an OPC UA link, as text; imports nothing."""

TEXT = """
version: 1
gateway: {id: bench}
mqtt: {urls: ["mqtt://127.0.0.1"]}
journal: {path: /nowhere}
links:
  - name: dcs
    driver: opcua
    url: opc.tcp://127.0.0.1:4840
    devices:
      - {name: r201, tags: [{name: a, address: "nsu=urn:plant:dcs;s=A", unit: Cel}]}
"""
