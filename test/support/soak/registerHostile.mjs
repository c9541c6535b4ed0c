// `node --import ./test/support/soak/registerHostile.mjs`: the sandbox of this process is that of hostileSandbox.mjs.
import { register } from "node:module";

register("./hostileHooks.mjs", import.meta.url);
