// src/ to dist/, without the rest of the set-up: before the package is packed.
//   npm run build
import path from "node:path";
import { buildDist } from "./setup/build.mjs";
import { runSetup } from "./setup/support.mjs";

const root = path.resolve(import.meta.dirname, "..");
await runSetup(() => buildDist(root), "Interrupted: dist/ may not be whole.");
