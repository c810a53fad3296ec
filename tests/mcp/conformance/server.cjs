// A server with everything that the public conformance suite requires, over stdio, based on the official TypeScript SDK. Its tool
// `touch` announces changes for tests/mcp/test_talk.py.
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

const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

const ask = async (extra, message, properties, required) => {
    const params = { message, requestedSchema: { type: "object", properties, required } };
    const { action, content } = await extra.sendRequest({ method: "elicitation/create", params }, types.ElicitResultSchema);
    return [text(`Elicitation completed: action=${action}, content=${JSON.stringify(content)}`)];
};
const titled = (...values) => values.map((value) => ({ const: value, title: `Title of ${value}` }));
const options = ["option1", "option2", "option3"];
const values = titled("value1", "value2", "value3");

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
    test_tool_with_logging: async (_, { sendNotification }) => {
        for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
            await sendNotification({ method: "notifications/message", params: { level: "info", data } });
            await pause();
        }
        return [text("done")];
    },
    test_tool_with_progress: async (_, { _meta, sendNotification }) => {
        for (const progress of [0, 50, 100]) {
            const params = { progressToken: _meta?.progressToken, progress, total: 100 };
            if (_meta?.progressToken !== undefined) await sendNotification({ method: "notifications/progress", params });
            await pause();
        }
        return [text("done")];
    },
    test_sampling: async ({ prompt }, { sendRequest }) => {
        const params = { messages: [{ role: "user", content: text(prompt) }], maxTokens: 100 };
        const answer = await sendRequest({ method: "sampling/createMessage", params }, types.CreateMessageResultSchema);
        return [text(`LLM response: ${answer.content.text}`)];
    },
    test_elicitation: ({ message }, extra) =>
        ask(extra, message, { username: { type: "string" }, email: { type: "string" } }, ["username", "email"]),
    test_elicitation_sep1034_defaults: (_, extra) =>
        ask(extra, "Defaults", {
            name: { type: "string", default: "John Doe" },
            age: { type: "integer", default: 30 },
            score: { type: "number", default: 95.5 },
            status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
            verified: { type: "boolean", default: true },
        }),
    test_elicitation_sep1330_enums: (_, extra) =>
        ask(extra, "Enums", {
            untitledSingle: { type: "string", enum: options },
            titledSingle: { type: "string", oneOf: values },
            legacyEnum: { type: "string", enum: ["opt1", "opt2", "opt3"], enumNames: ["One", "Two", "Three"] },
            untitledMulti: { type: "array", items: { type: "string", enum: options } },
            titledMulti: { type: "array", items: { anyOf: values } },
        }),
};
// The suite's scenarios for servers of 2026-07-28. This server uses an earlier version, so the proxy turns its questions into
// results.
const NAME = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
const elicit = (extra, message, requestedSchema = NAME) =>
    extra.sendRequest({ method: "elicitation/create", params: { message, requestedSchema } }, types.ElicitResultSchema);
const sample = (extra, said) =>
    extra.sendRequest(
        { method: "sampling/createMessage", params: { messages: [{ role: "user", content: text(said) }], maxTokens: 100 } },
        types.CreateMessageResultSchema,
    );
const roots = (extra) => extra.sendRequest({ method: "roots/list", params: {} }, types.ListRootsResultSchema);
const OK = { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] };
const asked = (name, work) => (tools[`test_${name}`] = async (_, extra) => [text(await work(extra))]);
asked("input_required_result_elicitation", async (extra) => `Hello, ${(await elicit(extra, "What is your name?")).content.name}!`);
asked("input_required_result_sampling", async (extra) => (await sample(extra, "What is the capital of France?")).content.text);
asked("input_required_result_list_roots", async (extra) => (await roots(extra)).roots.map((root) => root.uri).join(" "));
asked("input_required_result_request_state", async (extra) => `state-ok ${(await elicit(extra, "Please confirm", OK)).content.ok}`);
asked("input_required_result_tampered_state", async (extra) => `${(await elicit(extra, "Please confirm", OK)).action}`);
asked("input_required_result_multiple_inputs", async (extra) =>
    JSON.stringify(await Promise.all([elicit(extra, "What is your name?"), sample(extra, "Generate a greeting"), roots(extra)])),
);
asked("input_required_result_multi_round", async (extra) => {
    const { name } = (await elicit(extra, "Step 1: What is your name?")).content;
    const color = { type: "object", properties: { color: { type: "string" } }, required: ["color"] };
    return `${name} likes ${(await elicit(extra, "Step 2: What is your favorite color?", color)).content.color}`;
});
asked("input_required_result_capabilities", async (extra) =>
    JSON.stringify(await Promise.allSettled([elicit(extra, "What is your name?"), sample(extra, "Hello")])),
);
asked("missing_capability", async (extra) => (await sample(extra, "Hello")).content.text);
asked("streaming_elicitation", async (extra) => (await elicit(extra, "What is your name?")).action);
tools.test_logging_tool = tools.test_tool_with_logging;
tools.test_trigger_tool_change = async (_, { sendNotification }) => {
    if (tools.test_another) delete tools.test_another;
    else tools.test_another = () => [text("another")];
    await sendNotification({ method: "notifications/tools/list_changed" });
    return [text("changed")];
};
tools.test_trigger_prompt_change = async (_, { sendNotification }) => {
    await sendNotification({ method: "notifications/prompts/list_changed" });
    return [text("changed")];
};
tools.touch = async (_, { sendNotification }) => {
    for (const uri of subscribed) await sendNotification({ method: "notifications/resources/updated", params: { uri } });
    await sendNotification({ method: "notifications/message", params: { level: "debug", logger: "depths", data: "touched" } });
    for (const what of ["prompts", "resources"]) await sendNotification({ method: `notifications/${what}/list_changed` });
    return [text(`subscribed: ${[...subscribed].join(" ")}; level: ${level}`)];
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
    test_input_required_result_prompt: async (_, extra) => {
        const context = { type: "object", properties: { context: { type: "string" } }, required: ["context"] };
        return said(text((await elicit(extra, "What context should the prompt use?", context)).content.context));
    },
    test_prompt_with_image: () => said(image, text("Please analyse it.")),
};
const promptArguments = {
    test_prompt_with_arguments: ["arg1", "arg2"],
    test_prompt_with_embedded_resource: ["resourceUri"],
};
const read = (uri) => {
    if (uri === "test://watched-resource") return { uri, mimeType: "text/plain", text: "This resource is watched." };
    if (uri === "test://static-text") return { uri, mimeType: "text/plain", text: "This is the static text resource." };
    if (uri === "test://static-binary") return { uri, mimeType: "image/png", blob: PNG };
    const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
    if (id === undefined) throw new types.McpError(-32002, `Resource not found: ${uri}`, { uri });
    return { uri, mimeType: "application/json", text: JSON.stringify({ id, data: `Data for ID: ${id}` }) };
};

const capabilities = { tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true, listChanged: true }, completions: {}, logging: {} };
const subscribed = new Set();
let level = "none";
const server = new Server({ name: "conformance", version: "1.0.0" }, { capabilities });
server.setRequestHandler(types.ListToolsRequestSchema, () => ({
    tools: Object.keys(tools).map((name) => ({ name, description: name, inputSchema: schemas[name] ?? { type: "object" } })),
}));
server.setRequestHandler(types.CallToolRequestSchema, async ({ params }, extra) => {
    try {
        return { content: await tools[params.name](params.arguments ?? {}, extra) };
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
server.setRequestHandler(types.GetPromptRequestSchema, ({ params }, extra) => prompts[params.name](params.arguments ?? {}, extra));
server.setRequestHandler(types.ListResourcesRequestSchema, () => ({
    resources: ["test://static-text", "test://static-binary", "test://watched-resource"].map((uri) => ({ uri, name: uri, description: uri })),
}));
server.setRequestHandler(types.ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "template", description: "by id" }],
}));
server.setRequestHandler(types.ReadResourceRequestSchema, ({ params }) => ({ contents: [read(params.uri)] }));
server.setRequestHandler(types.CompleteRequestSchema, () => ({ completion: { values: ["paris"], total: 1, hasMore: false } }));
server.setRequestHandler(types.SetLevelRequestSchema, ({ params }) => {
    level = params.level;
    return {};
});
server.setRequestHandler(types.SubscribeRequestSchema, ({ params }) => {
    subscribed.add(params.uri);
    return {};
});
server.setRequestHandler(types.UnsubscribeRequestSchema, ({ params }) => {
    subscribed.delete(params.uri);
    return {};
});
server.connect(new StdioServerTransport());
