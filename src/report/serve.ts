// The page of runs that go on, served to the browsers of this machine alone.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { asUserError, UserError } from "../errors.ts";
import type { CompletionSet, ReportData } from "./data.ts";
import { policyOf, reportPage } from "./html.ts";

/** What is watched. */
export interface WatchedReport {
  /** Another text when a file of it has changed. */
  version(): string;
  /** @throws UserError while a file cannot be read */
  read(): { readonly data: ReportData; readonly completions: readonly CompletionSet[] };
}

/** A server that runs. */
export interface ReportServer {
  readonly url: string;
  close(): void;
}

interface Reply {
  readonly status: number;
  readonly type: "text/html" | "application/json" | "text/plain";
  readonly body: string;
}

/**
 * Serves a report on 127.0.0.1, to be read alone: `/` is the page, which asks for `/data` and `/completions` again and again. What was
 * called by another name than this machine's is refused, so that no page of the web can read it by a name that leads here.
 *
 * @param port 0: one that is free
 * @throws UserError when the port is taken
 */
export async function serveReport(watched: WatchedReport, port: number): Promise<ReportServer> {
  let known: ({ readonly version: string } & ReturnType<WatchedReport["read"]>) | undefined;
  const latest = () => {
    const version = watched.version();
    if (known?.version !== version) known = { version, ...watched.read() };
    return known;
  };
  const server = createServer((request, response) => send(response, replyTo(request, latest)));
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UserError(`port: expected a whole number from 0 to 65535, found ${port}`);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new UserError(
          `port: expected one that is free, found ${port} (${error.message}); give another, or 0 for any`,
        ),
      ),
    );
    server.listen(port, "127.0.0.1", resolve);
  });
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${own}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function replyTo(
  { method, headers, url = "/" }: IncomingMessage,
  latest: () => { version: string } & ReturnType<WatchedReport["read"]>,
): Reply {
  const text = (status: number, body: string): Reply => ({ status, type: "text/plain", body });
  // Any port, because a tunnel may lead here from another one.
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(headers.host ?? ""))
    return text(403, "This report is for the machine that it runs on, as 127.0.0.1 or localhost.");
  if (method !== "GET") return text(405, "This report can be read alone.");
  const { pathname, searchParams } = new URL(url, "http://localhost");
  try {
    const { version, data, completions } = latest();
    const json = (value: unknown): Reply => ({
      ...{ status: 200, type: "application/json", body: JSON.stringify(value) },
    });
    if (pathname === "/")
      return { status: 200, type: "text/html", body: reportPage(data, completions, true) };
    if (pathname === "/data")
      return searchParams.get("version") === version ? json({}) : json({ version, data });
    if (pathname === "/completions") return json(completions);
  } catch (error) {
    const expected = asUserError(error); // files come and go while a run trains
    if (expected === undefined) throw error;
    return text(503, expected.message);
  }
  return text(404, "There is nothing under this name.");
}

function send(response: ServerResponse, { status, type, body }: Reply): void {
  response.writeHead(status, {
    "Content-Type": `${type}; charset=utf-8`,
    "Content-Security-Policy": policyOf(true),
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
  });
  response.end(body);
}
