"""Validates JSON documents against a schema: {"schema": ..., "documents": [...]} in, a list of booleans out."""

import json
import sys

import jsonschema

asked = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(asked["schema"])
validator = jsonschema.Draft202012Validator(asked["schema"])
json.dump([validator.is_valid(document) for document in asked["documents"]], sys.stdout)
