// What the public conformance suite expects a server to offer, over stdio, on the official TypeScript SDK: as far as the
// proxy passes it on. What `expected.yml` lists is missing here, too.
const path = require("node:path");
const { createRequire } = require("node:module");
const load = createRequire(path.resolve(__dirname, "../../../target/tools/node/package.json"));
const { Server } = load("@modelcontextprotocol/sdk/server/index.js");
const { StdioServerTransport } = load("@modelcontextprotocol/sdk/server/stdio.js");
const types = load("@modelcontextprotocol/sdk/types.js");

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
const text = (said) => ({ type: "text", text: said });
const image = { type: "image", data: PNG, mimeType: "image/png" };
const embedded = (uri) => ({ type: "resource", resource: { uri, mimeType: "text/plain", text: "an embedded resource" } });

const address = { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } };
const tools = {
    test_simple_text: () => [text("This is a simple text response for testing.")],
    test_image_content: () => [image],
    test_audio_content: () => [{ type: "audio", data: WAV, mimeType: "audio/wav" }],
    test_embedded_resource: () => [embedded("test://embedded-resource")],
    test_multiple_content_types: () => [text("Multiple content types test:"), image, embedded("test://mixed-content-resource")],
    test_error_handling: () => {
        throw new Error("This tool intentionally returns an error for testing");
    },
    json_schema_2020_12_tool: () => [text("done")],
};
const schemas = {
    json_schema_2020_12_tool: {
        $schema: "https://json-schema.org/draft/2020-12/schema",
        type: "object",
        $defs: { address },
        properties: { name: { type: "string" }, address: { $ref: "#/$defs/address" } },
        additionalProperties: false,
    },
};
const said = (...contents) => ({ messages: contents.map((content) => ({ role: "user", content })) });
const prompts = {
    test_simple_prompt: () => said(text("This is a simple prompt for testing.")),
    test_prompt_with_arguments: ({ arg1, arg2 }) => said(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
    test_prompt_with_embedded_resource: ({ resourceUri }) => said(embedded(resourceUri), text("Please process it.")),
    test_prompt_with_image: () => said(image, text("Please analyse it.")),
};
const promptArguments = {
    test_prompt_with_arguments: ["arg1", "arg2"],
    test_prompt_with_embedded_resource: ["resourceUri"],
};
const read = (uri) => {
    if (uri === "test://static-text") return { uri, mimeType: "text/plain", text: "This is the static text resource." };
    if (uri === "test://static-binary") return { uri, mimeType: "image/png", blob: PNG };
    const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
    if (id === undefined) throw new types.McpError(-32002, `Resource not found: ${uri}`);
    return { uri, mimeType: "application/json", text: JSON.stringify({ id, data: `Data for ID: ${id}` }) };
};

const capabilities = { tools: {}, prompts: {}, resources: {}, completions: {} };
const server = new Server({ name: "conformance", version: "1.0.0" }, { capabilities });
server.setRequestHandler(types.ListToolsRequestSchema, () => ({
    tools: Object.keys(tools).map((name) => ({ name, description: name, inputSchema: schemas[name] ?? { type: "object" } })),
}));
server.setRequestHandler(types.CallToolRequestSchema, ({ params }) => {
    try {
        return { content: tools[params.name]() };
    } catch (error) {
        return { content: [text(error.message)], isError: true };
    }
});
server.setRequestHandler(types.ListPromptsRequestSchema, () => ({
    prompts: Object.keys(prompts).map((name) => ({
        name,
        description: name,
        arguments: (promptArguments[name] ?? []).map((name) => ({ name, description: name, required: true })),
    })),
}));
server.setRequestHandler(types.GetPromptRequestSchema, ({ params }) => prompts[params.name](params.arguments ?? {}));
server.setRequestHandler(types.ListResourcesRequestSchema, () => ({
    resources: ["test://static-text", "test://static-binary"].map((uri) => ({ uri, name: uri, description: uri })),
}));
server.setRequestHandler(types.ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "template", description: "by id" }],
}));
server.setRequestHandler(types.ReadResourceRequestSchema, ({ params }) => ({ contents: [read(params.uri)] }));
server.setRequestHandler(types.CompleteRequestSchema, () => ({ completion: { values: ["paris"], total: 1, hasMore: false } }));
server.connect(new StdioServerTransport());
