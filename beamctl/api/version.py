"""Version of the interface; counted up with every change of the contract in docs/reference/openapi.yaml."""

API_VERSION = "1.1"
PREFIX = "/api/v1"
