"""The OpenAPI document matches the responses of a running core. Run by `scripts/test mcp`."""

import http.client
import json
import unittest
import urllib.parse

from jsonschema import Draft202012Validator

from test_registry import RECORDS, Registry
from world import World, everything, main

NAMES = {"{name}": "everything", "{client}": "cursor"}


class Document(unittest.TestCase):
    def test_answers(self):
        """every GET response and failure matches the document, which is valid"""
        registry = Registry()
        self.addCleanup(registry.stop)
        sources = [{"id": "test", "url": registry.url}]
        with World(config={"mcpServers": [everything()], "registries": sources}) as world:
            world.start_core()
            world.wait_connected("everything")
            call = {"tool_name": "call_tool_read", "arguments": {"name": "everything:echo", "args": {"message": "a"}}}
            self.assertEqual(world.post("/api/v1/tools/call", body=call).status, 200)
            names = {**NAMES, "{id}": world.get("/api/v1/activity?limit=1").data["activities"][0]["id"]}
            document = json.loads(world.get("/api/v1/openapi.json").text)
            self.assertEqual((document["openapi"], document["info"]["title"]), ("3.1.0", "MCPProxy"))
            for schema in document["components"]["schemas"].values():
                Draft202012Validator.check_schema(schema)

            def check(path, status, response):
                schema = response["content"]["application/json"]["schema"]
                answer = world.get(path)
                self.assertEqual(answer.status, status, path)
                Draft202012Validator({"components": document["components"], **schema}).validate(json.loads(answer.text))
                return json.loads(answer.text)

            checked = 0
            for path, operations in document["paths"].items():
                # Events are checked below; no collector is configured here.
                if "get" not in operations or path in ("/events", "/api/v1/telemetry/received", "/api/v1/activity/export"):
                    continue
                responses = operations["get"]["responses"]
                if "/sessions/{id}" in path:
                    continue  # no session exists here
                here = {**names, "{server}": urllib.parse.quote(RECORDS[0]["name"], safe="")}
                if "/registries/" in path:
                    here["{id}"] = "test"
                for name, value in here.items():
                    path = path.replace(name, value)
                answer = check(path + ("?q=echo" if path.endswith("search") else ""), 200, responses["2XX"])
                checked += 1
                if path.startswith("/api") and not path.endswith(".json"):
                    self.assertTrue(answer["success"] and "data" in answer, path)
                if any(value in path for value in here.values()):
                    missing = "/".join("unknown" if part in here.values() else part for part in path.split("/"))
                    answer = check(missing, 404, responses["default"])
                    self.assertTrue(answer["success"] is False and answer["error"], path)
            self.assertGreater(checked, 15)

            kinds = document["paths"]["/events"]["get"]["responses"]["2XX"]["content"]["text/event-stream"]["schema"]["items"]["oneOf"]
            bodies = {kind["properties"]["event"]["const"]: kind["properties"]["data"]["contentSchema"] for kind in kinds}
            self.assertLessEqual({"status", "servers.changed", "ping", "activity.tool_call.completed"}, set(bodies))
            told = set()
            for event, data in world.events():
                Draft202012Validator({"components": document["components"], **bodies[event]}).validate(data)
                if event == "status":
                    world.post("/api/v1/servers/everything/disable")
                told.add(event)
                if {"status", "servers.changed"} <= told:
                    break
            connection = http.client.HTTPConnection("127.0.0.1", world.port)
            connection.request("GET", "/api/v1/openapi.json")
            self.assertEqual(connection.getresponse().status, 401, "like every route, it requires the key over TCP")
            connection.close()


if __name__ == "__main__":
    main()
