"""tidegate: poll devices, journal the readings, publish them over MQTT."""
