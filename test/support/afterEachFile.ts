// Run by vitest before each test file. Files share a process, and so the modules that they import: what has to happen once for each
// file is said here.
import { afterAll } from "vitest";
import { removeTemporaryFolders } from "./temporaryFolder.ts";

afterAll(removeTemporaryFolders);
