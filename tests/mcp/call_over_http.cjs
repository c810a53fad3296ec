// The official TypeScript client over HTTP. call_over_http.cjs SDK URL TOOL ARGUMENTS ASKING calls TOOL twice, and ASKING, whose
// server asks a question.
const path = require("node:path");
const { createRequire } = require("node:module");
const load = createRequire(path.resolve(__dirname, "../../target/tools/node/package.json"));

async function main([sdk, address, tool, given, asking]) {
    const { Client } = load(`${sdk}/client/index.js`);
    const { StreamableHTTPClientTransport } = load(`${sdk}/client/streamableHttp.js`);
    const client = new Client({ name: "test", version: "1.0.0" }, { capabilities: { sampling: {} } });
    const { CreateMessageRequestSchema } = load(`${sdk}/types.js`);
    const asked = [], broken = [];
    client.onerror = (error) => broken.push(error.message);
    client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
        asked.push(params.messages[0].content.text);
        return { role: "assistant", model: "m", content: { type: "text", text: "forty-two" } };
    });
    await client.connect(new StreamableHTTPClientTransport(new URL(address)));
    const text = async (name, given) => (await client.callTool({ name, arguments: given })).content[0].text;
    const call = JSON.parse(given);
    const said = [await text(tool, call), await text(tool, call), await text(...JSON.parse(asking))];
    const wrong = await client.callTool({ name: "unknown__nothing", arguments: {} }).catch((error) => error.message);
    const tools = (await client.listTools()).tools.map((one) => one.name);
    console.log(JSON.stringify({ said, asked, tools, wrong, broken }));
    await client.close();
}

main(process.argv.slice(2));
