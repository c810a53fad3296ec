"""Real AI clients search, describe and call: Gemini CLI in every run, and Claude Code, Codex and OpenCode if they are installed.

A model in this file answers them: it has no knowledge, speaks each client's protocol, and always does the same.
Run by `scripts/test mcp`. The environment variable `CHECKS_CLIENTS` names a folder in which npm installed the other clients:
`npm install @anthropic-ai/claude-code @openai/codex opencode-ai`. `CHECKS_SENT` names a folder for what each client sends.
"""

import json
import os
import pathlib
import unittest

from world import CORE, SERVER, McpOverHttp, World, everything, main, serving

CLIENTS = pathlib.Path(os.environ.get("CHECKS_CLIENTS") or "/nonexistent") / "node_modules/.bin"
SENT = os.environ.get("CHECKS_SENT")
REQUEST = "Add 17 and 25 with a tool."
STEPS = (
    ("retrieve_tools", {"query": "add two numbers"}),
    ("describe_tool", {"tool_ids": ["everything:get-sum"]}),
    ("call_tool_read", {"name": "everything:get-sum", "args": {"a": 17, "b": 25}}),
)


class Model(McpOverHttp):
    """The models of Anthropic, OpenAI (both protocols) and Google, as far as one conversation needs them."""

    log = []

    def do_POST(self):
        body = json.loads(self.body() or "{}")
        path = self.path.split("?")[0]
        for end, answer in (
            ("/count_tokens", lambda _: self.reply(200, b'{"input_tokens": 100}')),
            (":countTokens", lambda _: self.reply(200, b'{"totalTokens": 100}')),
            ("/messages", self.anthropic),
            ("/responses", self.openai),
            ("/chat/completions", self.chat),
            (":streamGenerateContent", self.google),
            (":generateContent", self.google),
        ):
            if path.endswith(end):
                self.log.append((path, body))
                return answer(body)
        return self.reply(404, b"{}")

    def next(self, offered, results):
        """Returns the next call as its offered name and its arguments; a text if there is none."""
        if len(results) < len(STEPS):
            tool, arguments = STEPS[len(results)]
            name = next((name for name in offered if name.endswith(tool)), None)
            return (name, arguments) if name else f"no {tool}"
        return "The tools said: " + results[-1]

    def stream(self, events):
        """Sends events, each with its name if it has one."""
        text = "".join((f"event: {event['type']}\n" if "type" in event else "") + f"data: {json.dumps(event)}\n\n" for event in events)
        self.reply(200, text.encode(), {"Content-Type": "text/event-stream"})

    def anthropic(self, body):
        said = [part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]]
        results = [as_text(part["content"]) for part in said if part["type"] == "tool_result"]
        action = self.next([tool["name"] for tool in body.get("tools", [])], results)
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": [], "stop_reason": None,
                   "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        block, delta, stop = {"type": "text", "text": ""}, {"type": "text_delta", "text": action}, "end_turn"
        if isinstance(action, tuple):
            block = {"type": "tool_use", "id": f"toolu_{len(results)}", "name": action[0], "input": {}}
            delta, stop = {"type": "input_json_delta", "partial_json": json.dumps(action[1])}, "tool_use"
        if not body.get("stream"):
            whole = {**block, "input": action[1]} if isinstance(action, tuple) else {"type": "text", "text": action}
            return self.reply(200, json.dumps({**message, "content": [whole], "stop_reason": stop}).encode())
        return self.stream([
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ])

    def openai(self, body):
        # Codex offers the tools of a server as one group.
        offered = {}
        for tool in body.get("tools", []):
            for inner in tool.get("tools", [tool]):
                offered[inner.get("name", "")] = tool["name"] if "tools" in tool else None
        results = [as_text(item["output"]) for item in body["input"] if item["type"] == "function_call_output"]
        action = self.next(list(offered), results)
        if isinstance(action, tuple):
            item = {"type": "function_call", "id": f"fc_{len(results)}", "call_id": f"call_{len(results)}", "name": action[0],
                    "arguments": json.dumps(action[1]), "status": "completed"}
            if offered[action[0]]:
                item["namespace"] = offered[action[0]]
        else:
            item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": action, "annotations": []}]}
        usage = {"input_tokens": 1, "input_tokens_details": None, "output_tokens": 1, "output_tokens_details": None, "total_tokens": 2}
        return self.stream([
            {"type": "response.created", "response": {"id": "resp_1"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "resp_1", "usage": usage}},
        ])

    def chat(self, body):
        results = [as_text(message["content"]) for message in body["messages"] if message["role"] == "tool"]
        action = self.next([tool["function"]["name"] for tool in body.get("tools", [])], results)
        delta, reason = {"role": "assistant", "content": action}, "stop"
        if isinstance(action, tuple):
            call = {"index": 0, "id": f"call_{len(results)}", "type": "function", "function": {"name": action[0], "arguments": json.dumps(action[1])}}
            delta, reason = {"role": "assistant", "tool_calls": [call]}, "tool_calls"
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        return self.stream([
            {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
        ])

    def google(self, body):
        parts = [part for content in body["contents"] for part in content.get("parts", [])]
        results = [as_text(part["functionResponse"]["response"]) for part in parts if "functionResponse" in part]
        offered = [tool["name"] for group in body.get("tools", []) for tool in group.get("functionDeclarations", [])]
        action = self.next(offered, results)
        part = {"text": action}
        if isinstance(action, tuple):
            part = {"functionCall": {"name": action[0], "args": action[1]}}
        answer = {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
                  "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}
        if "stream" in self.path:
            return self.stream([answer])
        return self.reply(200, json.dumps(answer).encode())


def as_text(content):
    return content if isinstance(content, str) else json.dumps(content)


class AiClients(unittest.TestCase):
    def talk(self, client, command, variables=(), files=()):
        """Connects the client, starts it with the request, and checks that it searched, described and called."""
        with World(config={"mcpServers": [everything()], "direct_up_to_tokens": 0}) as world, serving(Model) as model:
            Model.log.clear()
            world.start_core()
            world.wait_connected("everything")
            for name, text in dict(files).items():
                file = world.directory / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text.replace("{model}", model))
            done = world.run(CORE, "connect", client)
            self.assertEqual(done.returncode, 0, done.stderr)
            # Every connection to another computer is refused immediately.
            nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
            here = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
            given = {name: value.replace("{model}", model) for name, value in dict(variables).items()}
            done = world.run(*command, env={**world.environment(), **nowhere, **here, **given}, cwd=world.directory, seconds=100)
            self.keep(client, world)
            self.assertIn("The tools said: ", done.stdout + done.stderr, Model.log and list(Model.log[-1][1]))
            self.assertIn("The sum of 17 and 25 is 42", done.stdout)
            calls = world.get("/api/v1/activity?limit=50").text
            for tool in ("retrieve_tools", "describe_tool", "get-sum"):
                self.assertIn(f'"tool_name":"{tool}","status":"success"', calls)

    def keep(self, client, world):
        """Keeps what the client sent to the model, for reading."""
        if SENT:
            folder = pathlib.Path(SENT)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"ai-client-{client}.json").write_text(json.dumps(Model.log, indent=1, ensure_ascii=False))
            (folder / f"ai-client-{client}.activity.json").write_text(world.get("/api/v1/activity?limit=50").text)

    def installed(self, program):
        if not (CLIENTS / program).exists():
            self.skipTest(f"{program} is not installed")
        return CLIENTS / program

    def test_gemini_cli(self):
        """Gemini CLI offers its model the tools of MCPProxy; the model searches, describes and calls"""
        self.talk("gemini", [SERVER.parent / "gemini", "--yolo", "--skip-trust", "--model", "gemini-2.5-flash", "--prompt", REQUEST],
                  {"GEMINI_API_KEY": "none", "GOOGLE_GEMINI_BASE_URL": "{model}", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
                  {".gemini/settings.json": json.dumps({"privacy": {"usageStatisticsEnabled": False}, "security": {"auth": {"selectedType": "gemini-api-key"}}})})

    def test_claude_code(self):
        """Claude Code does the same"""
        self.talk("claude-code", [self.installed("claude"), "--print", REQUEST, "--allowedTools", "mcp__mcpproxy"],
                  {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": "{model}", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"})

    def test_codex(self):
        """Codex does the same"""
        provider = 'model = "gpt-5"\nmodel_provider = "here"\n\n[model_providers.here]\nname = "here"\nbase_url = "{model}/v1"\nwire_api = "responses"\n'
        self.talk("codex", [self.installed("codex"), "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", REQUEST],
                  {}, {".codex/config.toml": provider})

    def test_opencode(self):
        """OpenCode does the same"""
        config = {"provider": {"here": {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "{model}/v1", "apiKey": "none"}, "models": {"m": {}}}}, "model": "here/m"}
        self.talk("opencode", [self.installed("opencode"), "run", REQUEST], {"OPENCODE_DISABLE_AUTOUPDATE": "1"},
                  {".config/opencode/opencode.json": json.dumps(config)})


if __name__ == "__main__":
    main()
