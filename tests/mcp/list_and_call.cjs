// The official TypeScript client over HTTP: list_and_call.cjs SDK URL CALLS lists everything and makes the calls,
// [[tool, arguments], …], or `all` to call every listed tool without arguments.
const path = require("node:path");
const { createRequire } = require("node:module");
const load = createRequire(path.resolve(__dirname, "../../target/tools/node/package.json"));

async function main([sdk, address, calls]) {
    const { Client } = load(`${sdk}/client/index.js`);
    const { StreamableHTTPClientTransport } = load(`${sdk}/client/streamableHttp.js`);
    const client = new Client({ name: "test", version: "1.0.0" }, { capabilities: {} });
    const broken = [];
    client.onerror = (error) => broken.push(error.message);
    await client.connect(new StreamableHTTPClientTransport(new URL(address)));
    const tools = (await client.listTools()).tools.map((one) => one.name);
    const rest = client.getServerCapabilities();
    if (rest.prompts) await client.listPrompts();
    if (rest.resources) await client.listResources();
    const said = [];
    const made = calls === "all" ? tools.map((name) => [name, {}]) : JSON.parse(calls);
    for (const [name, given] of made) {
        const answer = await client.callTool({ name, arguments: given }).catch((error) => ({ failed: error.message }));
        said.push(answer.failed ?? answer.content.map((block) => block.text ?? block.type));
    }
    console.log(JSON.stringify({ tools, said, broken }));
    await client.close();
}

main(process.argv.slice(2));
