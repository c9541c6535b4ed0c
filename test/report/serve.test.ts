import { get, request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import type { ReportData } from "../../src/report/data.ts";
import { serveReport, type WatchedReport } from "../../src/report/serve.ts";

const data: ReportData = {
  ...{ made: "2026-01-01T00:00:00Z", figures: [], runs: [], settings: [] },
  ...{ evaluations: [], comparisons: [], notes: ["a note"], signs: [] },
};
let close = () => {};
afterEach(() => close());

async function serve(watched: Partial<WatchedReport> = {}): Promise<string> {
  const whole = { version: () => "one", read: () => ({ data, completions: [] }), ...watched };
  const server = await serveReport(whole, 0);
  close = server.close;
  return server.url;
}

/** The status of a request that calls the server by another name. */
function statusAs(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    get(url, { headers: { host } }, (answer) => resolve(answer.resume().statusCode));
  });
}

describe("the server of a report", () => {
  test("gives the page, which may ask it alone and be framed by none", async () => {
    const answer = await fetch(await serve());
    expect(answer.status).toBe(200);
    const policy = answer.headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self'");
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    expect(answer.headers.get("x-frame-options")).toBe("DENY");
    expect(await answer.text()).toContain('<body data-follow="');
  });

  test("gives data anew when its version is another one", async () => {
    let version = "one";
    let reads = 0;
    const url = await serve({
      version: () => version,
      read: () => ({ data: { ...data, notes: [`read ${++reads}`] }, completions: [] }),
    });
    const ask = async (known: string) => (await fetch(`${url}data?version=${known}`)).json();
    expect(await ask("")).toMatchObject({ version: "one", data: { notes: ["read 1"] } });
    expect(await ask("one")).toEqual({});
    version = "two";
    expect(await ask("one")).toMatchObject({ version: "two", data: { notes: ["read 2"] } });
    expect(await (await fetch(`${url}completions`)).json()).toEqual([]);
    expect(reads).toBe(2);
  });

  test("is there by this machine's name alone", async () => {
    const url = await serve();
    const { port } = new URL(url);
    for (const host of [`localhost:${port}`, "localhost:9000", "127.0.0.1"])
      expect(await statusAs(url, host), host).toBe(200);
    for (const host of ["example.org", `example.org:${port}`, `127.0.0.1.nip.io:${port}`])
      expect(await statusAs(`${url}data`, host), host).toBe(403);
  });

  test("can be read alone, and has nothing else", async () => {
    const url = await serve();
    const posted = await new Promise((resolve) => {
      request(url, { method: "POST" }, (answer) => resolve(answer.resume().statusCode)).end();
    });
    expect(posted).toBe(405);
    for (const path of ["config.yaml", "../../etc/passwd", "%2e%2e/secret"])
      expect((await fetch(url + path)).status).toBe(404);
  });

  test("says what cannot be read, and goes on", async () => {
    let isThere = false;
    const url = await serve({
      version: () => String(isThere),
      read: () => {
        if (!isThere) throw new UserError("runs/mine: no such file");
        return { data, completions: [] };
      },
    });
    const answer = await fetch(url);
    expect([answer.status, await answer.text()]).toEqual([503, "runs/mine: no such file"]);
    isThere = true;
    expect((await fetch(url)).status).toBe(200);
  });

  test("refuses a port that is taken, and one that is none", async () => {
    const port = Number(new URL(await serve()).port);
    const other = serveReport({ version: () => "", read: () => ({ data, completions: [] }) }, port);
    await expect(other).rejects.toThrow(/^port: expected one that is free, found \d+ \(/);
    const none = serveReport(
      { version: () => "", read: () => ({ data, completions: [] }) },
      70_000,
    );
    await expect(none).rejects.toThrow(
      "port: expected a whole number from 0 to 65535, found 70000",
    );
  });
});
