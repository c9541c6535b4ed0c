// Gives whoever imports the sandbox the one that also runs hostile programs; that one alone gets the sandbox itself.
const hostile = new URL("./hostileSandbox.mjs", import.meta.url).href;

export async function resolve(specifier, context, next) {
  const resolved = await next(specifier, context);
  const isSandbox = /\/reward\/sandbox\/sandbox\.js$/.test(resolved.url);
  return isSandbox && context.parentURL !== hostile ? { ...resolved, url: hostile } : resolved;
}
