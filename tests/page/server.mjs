// A small MCP server for the tests of the web UI. It reads its tools from a JSON file at each list request.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const file = process.argv[2];
const reply = (id, result) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result }) + "\n");

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (method === "initialize") {
    reply(id, { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "test", version: "1" } });
  } else if (method === "tools/list") {
    reply(id, { tools: JSON.parse(readFileSync(file, "utf8")) });
  } else if (method === "tools/call") {
    const isError = params.name === "fail";
    const text = isError ? "the disk is full" : `echo: ${JSON.stringify(params.arguments)}`;
    reply(id, { content: [{ type: "text", text }], isError });
  } else if (id !== undefined) {
    reply(id, {});
  }
}
