// The official TypeScript client over stdio. call_over_stdio.cjs PROGRAM ARGUMENT... prints the tools and one result.
const path = require("node:path");
const { createRequire } = require("node:module");
const load = createRequire(path.resolve(__dirname, "../../target/tools/node/package.json"));
const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = load("@modelcontextprotocol/sdk/client/stdio.js");

async function main([command, ...args]) {
    const client = new Client({ name: "cursor-vscode", version: "1.0.0" });
    await client.connect(new StdioClientTransport({ command, args, env: process.env }));
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    const echo = { name: "everything:echo", args: { message: "from TypeScript" } };
    const result = await client.callTool({ name: "call_tool_read", arguments: echo });
    console.log(JSON.stringify({ tools, text: result.content[0].text, server: client.getServerVersion().name }));
    await client.close();
}

main(process.argv.slice(2));
