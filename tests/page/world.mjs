// A temporary core, a browser, and the results of checks.
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
export const project = path.resolve(here, "../..");
const programs = process.env.CHECKS_PROGRAMS || path.join(project, "target/debug");
const modules = process.env.PAGE_MODULES || path.join(project, "target/tools/page");
const require = createRequire(path.join(modules, "package.json"));
const { chromium } = require("playwright-core");
export const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
export const pictures = process.env.PAGE_PICTURES || path.join(project, "target/checks/page");
mkdirSync(pictures, { recursive: true });

export async function freePort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export async function until(what, condition, seconds = 15) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await new Promise((done) => setTimeout(done, 40));
  }
}

export class World {
  static async begin(config = {}) {
    const world = new World();
    world.home = mkdtempSync(path.join(os.tmpdir(), "mcpp-page-"));
    world.root = path.join(world.home, ".mcpproxy");
    world.port = await freePort();
    world.key = "key-of-the-test";
    mkdirSync(world.root, { mode: 0o700 });
    const file = { listen: `127.0.0.1:${world.port}`, api_key: world.key, mcpServers: [], ...config };
    writeFileSync(path.join(world.root, "mcp_config.json"), JSON.stringify(file, null, 2), { mode: 0o600 });
    await world.start();
    return world;
  }

  get url() { return `http://127.0.0.1:${this.port}`; }

  environment() {
    const kept = ["PATH", "LANG", "USER", "LOGNAME", "TMPDIR"];
    const environment = Object.fromEntries(kept.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));
    return { ...environment, HOME: this.home, MCPPROXY_KEYRING_WRITE: "0", DO_NOT_TRACK: "1" };
  }

  async start() {
    this.core = spawn(path.join(programs, "mcpproxy"), ["serve"], { env: this.environment(), stdio: ["ignore", "ignore", "pipe"] });
    this.core.stderr.on("data", (data) => { this.errors = (this.errors || "") + data; });
    await until("the core is ready", () => this.request("GET", "/ready").then((answer) => answer.status === 200, () => false), 30);
  }

  // The configuration's tools file for the test server.
  // The folder's name is long and has no place to break a line, so that pages show how they handle that.
  tools(name, tools) {
    const folder = path.join(this.home, "NotesOfTheLastTwentyYears".repeat(4));
    mkdirSync(folder, { recursive: true });
    const file = path.join(folder, `${name}.tools.json`);
    writeFileSync(file, JSON.stringify(tools));
    return file;
  }

  entry(name, tools, more = {}) {
    return { name, protocol: "stdio", command: process.execPath, args: [path.join(here, "server.mjs"), this.tools(name, tools)], ...more };
  }

  cli(...words) {
    const done = spawnSync(path.join(programs, "mcpproxy"), words, { env: this.environment(), encoding: "utf8", timeout: 30000 });
    if (done.status !== 0) throw new Error(`mcpproxy ${words.join(" ")}: ${done.stdout}${done.stderr}`);
    return done.stdout;
  }

  request(method, where, { headers = {}, body, host } = {}) {
    return new Promise((done, failed) => {
      const options = { method, path: where, host: "127.0.0.1", port: this.port, headers: { ...headers } };
      if (host) options.headers.host = host;
      const request = http.request(options, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (data) => { text += data; });
        response.on("end", () => done({ status: response.statusCode, headers: response.headers, text }));
      });
      request.on("error", failed);
      request.end(body);
    });
  }

  async rest(method, where, body) {
    const headers = { "x-api-key": this.key, "x-mcpproxy-client": "cli/test", "content-type": "application/json" };
    const answer = await this.request(method, where, { headers, body: body && JSON.stringify(body) });
    const json = JSON.parse(answer.text);
    if (!json.success) throw new Error(`${method} ${where}: ${answer.text}`);
    return json.data;
  }

  async connected(name) {
    await until(`${name} is connected`, async () => (await this.rest("GET", "/api/v1/servers")).servers.some((server) => server.name === name && server.connected));
  }

  ticket() { return this.cli("ui", "--print").trim(); }

  async stop(signal = "SIGTERM") {
    if (this.core.exitCode === null) {
      const ended = new Promise((done) => this.core.once("exit", done));
      this.core.kill(signal);
      await ended;
    }
  }

  async end() {
    await this.stop();
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

let browser;
export async function openBrowser() {
  const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
  browser ??= await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
  return browser;
}

export async function signedIn(world, options = {}) {
  const context = await (await openBrowser()).newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error" && !/Failed to load resource|ERR_/.test(message.text())) page.problems.push(message.text()); });
  // While the design changes: the assets of the working tree, without a new build.
  if (process.env.PAGE_ASSETS) await page.route("**/ui/assets/{style.css,page.js}*", (route) => {
    route.fulfill({ path: path.join(project, "assets/page", path.basename(new URL(route.request().url()).pathname)) });
  });
  await page.goto(world.ticket());
  return page;
}

const results = { passed: 0, failed: 0 };
export async function check(name, action) {
  if (process.env.PAGE_ONLY && !name.includes(process.env.PAGE_ONLY)) return;
  let state = "passed";
  try {
    await action();
  } catch (error) {
    state = "failed";
    console.error(`FAILED: ${name}\n${error.stack || error}`);
  }
  results[state] += 1;
  console.log(`${state}: ${name}`);
  if (process.env.CHECKS_RESULTS) appendFileSync(process.env.CHECKS_RESULTS, `${state}\tpage: ${name}\n`);
}

export async function finish() {
  if (browser) await browser.close();
  console.log(`${results.passed} passed, ${results.failed} failed`);
  process.exit(results.failed ? 1 : 0);
}
