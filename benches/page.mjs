// Measures the web UI with 1,000 servers, 10,000 tools and the records of an activity log, in a real browser.
//
//   cargo bench --bench activity -- /tmp/activity.redb
//   CHECKS_PROGRAMS=target/release node benches/page.mjs /tmp/activity.redb
import { copyFileSync, existsSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { World, openBrowser, signedIn, until } from "../tests/page/world.mjs";

const SERVERS = Number(process.env.SERVERS ?? 1000);
const TOOLS = 10;
const ROUNDS = 5;
const [log] = process.argv.slice(2);

// One program that is all servers: each has its own path.
const upstream = http.createServer((request, response) => {
  let text = "";
  request.on("data", (data) => { text += data; });
  request.on("end", () => {
    if (request.method !== "POST") { response.writeHead(405).end(); return; }
    const { id, method, params } = JSON.parse(text);
    if (id === undefined) { response.writeHead(202).end(); return; }
    const tool = (number) => ({ name: `tool_${number}`, description: `Does thing ${number} of ${request.url} with a file, an issue or a page.`,
      inputSchema: { type: "object", properties: { path: { type: "string", description: "Path of the file" }, count: { type: "integer" } } }, annotations: { readOnlyHint: true } });
    const results = {
      initialize: () => ({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "many", version: "1" } }),
      "tools/list": () => ({ tools: Array.from({ length: TOOLS }, (_, number) => tool(number)) }),
    };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result: results[method]?.() ?? {} }));
  });
});
await new Promise((done) => upstream.listen(0, "127.0.0.1", done));
const base = `http://127.0.0.1:${upstream.address().port}`;
const name = (number) => `server-${String(number).padStart(4, "0")}`;
const mcpServers = Array.from({ length: SERVERS }, (_, number) => ({ name: name(number), protocol: "streamable-http", url: `${base}/${name(number)}/mcp`,
  enabled: true, quarantined: false, skip_quarantine: true, auto_approve_tool_changes: true }));

const world = await World.begin({ mcpServers, quarantine_enabled: false });
if (log) {
  await world.stop();
  if (!existsSync(log)) throw new Error(`${log} does not exist`);
  copyFileSync(log, path.join(world.root, "activity.redb"));
  await world.start();
}
await until("all servers are connected", async () => {
  const { stats } = await world.rest("GET", "/api/v1/servers");
  return (stats.connected_servers ?? 0) >= SERVERS;
}, 300);
const { total } = await world.rest("GET", "/api/v1/activity?limit=1");
console.log(`${SERVERS} servers, ${SERVERS * TOOLS} tools, ${total} records`);

const page = await signedIn(world);
const cookie = (await page.context().cookies()).map((one) => `${one.name}=${one.value}`).join("; ");
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const views = ["/ui/", "/ui/servers", "/ui/servers?offset=400", `/ui/servers/${name(7)}`, "/ui/review", "/ui/tools", "/ui/tools?offset=5000", "/ui/tools?q=a+file",
  "/ui/tools/server-0007/tool_1", "/ui/activity", "/ui/activity?offset=50", "/ui/activity?offset=50000", "/ui/activity?window=30d", "/ui/activity?status=error",
  "/ui/activity?q=no+such+file", "/ui/activity?q=occurs+nowhere", "/ui/activity?kind=changes", "/ui/clients", "/ui/settings", "/ui/profiles", "/ui/privacy", "/ui/health"];
console.log("view".padEnd(34), "response ms".padStart(12), "first paint ms".padStart(15), "page kB".padStart(9), "total kB".padStart(9));
for (const view of views) {
  const responses = [];
  const paints = [];
  let bytes = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now();
    bytes = (await world.request("GET", view, { headers: { cookie } })).text.length;
    responses.push(performance.now() - began);
    await page.goto(world.url + view, { waitUntil: "load" });
    paints.push(await until("a paint", () => page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime)));
  }
  const assets = await page.evaluate(() => performance.getEntriesByType("resource").filter((one) => one.name.includes("/ui/assets/")).reduce((sum, one) => sum + one.decodedBodySize, 0));
  console.log(view.padEnd(34), median(responses).toFixed(0).padStart(12), median(paints).toFixed(0).padStart(15), (bytes / 1000).toFixed(0).padStart(9), ((bytes + assets) / 1000).toFixed(0).padStart(9));
}
await (await openBrowser()).close();
await world.end();
upstream.close();
